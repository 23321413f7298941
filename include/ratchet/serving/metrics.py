"""What the service tells Prometheus: what is asked and answered, how fast, and by which champion."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.prediction_log.log import PredictionLog
from ratchet.serving.models.champion import Loader

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
GONE = 499  # nginx's word for a caller that hung up before an answer began


class Metrics:
    """One app's figures, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # they double the page to say since when each figure has been there
        own = {"namespace": "ratchet", "registry": CollectorRegistry()}
        self.registry = own["registry"]
        self._requests = Counter("requests", "Answered, by route and status.", ["route", "status"], **own)
        self._seconds = Histogram(
            "request_seconds", "From the last header read to the last byte given.", ["route"], buckets=SECONDS, **own
        )
        self._predictions = Counter("predictions", "Reviews read.", ["label", "arm", "model_version"], **own)
        self._probability = Histogram("probability", "Of label 1, of the reviews answered.", buckets=TENTHS, **own)
        self._shed = Counter("shed", "Refused under overload.", ["reason"], **own)

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def predicted(self, model_version: int, arm: str, probabilities: Sequence[float]) -> None:
        """Reviews read by one arm; what the shadow reads is no answer and stays out of the distribution."""
        positive = sum(probability >= 0.5 for probability in probabilities)
        for label, count in ((0, len(probabilities) - positive), (1, positive)):
            self._predictions.labels(label, arm, model_version).inc(count)
        if arm != "shadow":
            for probability in probabilities:
                self._probability.observe(probability)

    def shed(self, reason: str) -> None:
        self._shed.labels(reason).inc()

    def follow(self, loader: Loader) -> None:
        """Tell of the loader's champion as well."""
        self.registry.register(_Champion(loader))

    def follow_log(self, log: PredictionLog) -> None:
        """Tell what became of the rows of the prediction log as well."""
        self.registry.register(_Log(log))

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Champion(Collector):
    """Read when Prometheus asks, so that nothing has to be kept up to date."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        current, now = self.loader.served, datetime.now(UTC)
        alarm = float(bool(self.loader.problem))
        yield _gauge("champion_problem", "1: the ledger's champion is not served or not known; see /v1/model.", alarm)
        if self.loader.checked_at:
            waited = (now - self.loader.checked_at).total_seconds()
            yield _gauge("ledger_seconds", "Since the ledger was last asked; grows if the loader hangs.", waited)
        if current:
            promoted = datetime.fromisoformat(current.promotion.promoted_at)
            yield _gauge("champion_version", "The model version that answers.", current.promotion.version)
            yield _gauge("champion_age_seconds", "Since it was promoted.", (now - promoted).total_seconds())


class _Log(Collector):
    """The log counts for itself."""

    def __init__(self, log: PredictionLog) -> None:
        self.log = log

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        state = self.log.state()
        became = {
            "written": state.written,
            "repeated": state.repeated,
            "contradicting": state.contradicting,
            "spooled": state.spooled,
            "lost": state.lost,
        }
        rows = CounterMetricFamily("ratchet_log_rows", "Of the prediction log, by outcome.", labels=["outcome"])
        for outcome, count in became.items():
            rows.add_metric([outcome], count)
        yield rows
        yield _gauge("log_spool_bytes", "Rows that wait for the sink.", state.spool_bytes)
        yield _gauge("log_sink_up", "1: the sink took what it was last given.", float(state.sink_up))


def _gauge(name: str, says: str, figure: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"ratchet_{name}", says, value=figure)


class Measured:
    """Counts every answer, refusals too. Paths that the app does not know are one, or callers could make series."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            known = any(route.path == scope["path"] for route in scope["app"].routes)
            route = scope["path"] if known else "other"
            self.metrics.answered(route, status, time.perf_counter() - began)
