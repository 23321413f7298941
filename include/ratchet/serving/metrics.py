"""The metrics of the service in Prometheus' format: requests, latencies, predictions, the champion and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from ratchet.prediction_log.log import PredictionLog
from ratchet.serving.models.follower import ModelFollower
from ratchet.serving.models.promotion import Promotion

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        # a second series with the creation time of each would double the page
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has no types here
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "requests",
            "Requests answered, by route and status.",
            ["route", "status"],
            namespace="ratchet",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "request_seconds",
            "Seconds from the last header received to the last byte sent.",
            ["route"],
            buckets=SECONDS,
            namespace="ratchet",
            registry=self.registry,
        )
        self._predictions = Counter(
            "predictions",
            "Reviews classified.",
            ["label", "arm", "model_version"],
            namespace="ratchet",
            registry=self.registry,
        )
        self._probability = Histogram(
            "probability",
            "Probability of label 1, of the reviews answered.",
            buckets=TENTHS,
            namespace="ratchet",
            registry=self.registry,
        )
        self._shed = Counter(
            "shed", "Requests refused under overload.", ["reason"], namespace="ratchet", registry=self.registry
        )

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def observe_predictions(self, model_version: int, arm: str, probabilities: Sequence[float]) -> None:
        """Count the predictions of one arm. Those of shadow mode are not in the distribution of probabilities."""
        positive = sum(probability >= 0.5 for probability in probabilities)
        for label, count in ((0, len(probabilities) - positive), (1, positive)):
            self._predictions.labels(label, arm, model_version).inc(count)
        if arm != "shadow":
            for probability in probabilities:
                self._probability.observe(probability)

    def count_shed(self, reason: str) -> None:
        """Count one request that was refused under overload."""
        self._shed.labels(reason).inc()

    def export_champion(self, follower: ModelFollower[Promotion]) -> None:
        """Export the state of the champion as well."""
        self.registry.register(_ChampionCollector(follower))

    def export_log(self, log: PredictionLog) -> None:
        """Export the counts of the prediction log as well."""
        self.registry.register(_LogCollector(log))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _ChampionCollector(Collector):
    """Reads the follower at each scrape, so that no gauge has to be updated."""

    def __init__(self, follower: ModelFollower[Promotion]) -> None:
        self.follower = follower

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        current, now = self.follower.current, datetime.now(UTC)
        problem = float(bool(self.follower.problem))
        yield _gauge("champion_problem", "1: the ledger's champion is not served or not known; see /v1/model.", problem)
        if self.follower.checked_at:
            age = (now - self.follower.checked_at).total_seconds()
            yield _gauge("ledger_seconds", "Seconds since the last poll of the ledger; grows if polling hangs.", age)
        if current:
            promoted = datetime.fromisoformat(current.info.promoted_at)
            yield _gauge("champion_version", "The model version that serves.", current.version)
            yield _gauge("champion_age_seconds", "Seconds since its promotion.", (now - promoted).total_seconds())


class _LogCollector(Collector):
    """Reads the log's own counts at each scrape."""

    def __init__(self, log: PredictionLog) -> None:
        self.log = log

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        state = self.log.state()
        counts = {
            "written": state.written,
            "repeated": state.repeated,
            "contradicting": state.contradicting,
            "spooled": state.spooled,
            "lost": state.lost,
        }
        rows = CounterMetricFamily("ratchet_log_rows", "Rows of the prediction log, by outcome.", labels=["outcome"])
        for outcome, count in counts.items():
            rows.add_metric([outcome], count)
        yield rows
        yield _gauge("log_spool_bytes", "Bytes in the spool that wait for the sink.", state.spool_bytes)
        yield _gauge("log_sink_up", "1: the last write to the sink succeeded.", float(state.sink_up))


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"ratchet_{name}", documentation, value=value)
