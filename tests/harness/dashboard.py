"""Fixtures of the page tests: pages as Streamlit renders them, a fake API with given responses, a filled log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage
from ratchet.ledger.decision import Decision, Evidence, GatePolicy, GateRecord
from ratchet.ledger.store import Champion, Ledger
from ratchet.prediction_log.records import FeedbackRecord, LogArm, PredictionRecord
from ratchet.prediction_log.sinks.database import DatabaseSink
from ratchet.promotion.gate import decide

PAGES = ("retraining", "models", "decisions", "review", "live", "feedback", "costs")
UNREACHABLE = "127.0.0.1:9"  # nothing listens on the discard port
KEY = "a-key-for-tests"
Label = Literal[0, 1]
LogRow = tuple[str, datetime, int, LogArm, float]
"""(prediction_id, at, model_version, arm, probability)"""


def page(name: str) -> AppTest:
    """A page, not rendered yet."""

    def draw(name: str) -> None:
        from importlib import import_module

        from ratchet.dashboard.settings import DashboardSettings

        import_module(f"ratchet.dashboard.views.{name}").show(DashboardSettings())

    return AppTest.from_function(draw, args=(name,), default_timeout=30)


def render(name: str) -> AppTest:
    """A page after its first run, which raised no exception."""
    rendered = page(name).run()
    assert not rendered.exception
    return rendered


def text(page: AppTest) -> str:
    """The text of a page outside of tables and charts."""
    kinds = ("title", "header", "subheader", "caption", "markdown", "text", "info", "warning", "error", "success")
    return "\n".join(each.value for kind in kinds for each in getattr(page, kind))


def metrics(page: AppTest) -> dict[str, str]:
    """The figures of a page, by their names."""
    return {each.label: each.value for each in page.metric}


def charts(page: AppTest) -> int:
    """The number of charts on a page."""
    return len(page.get("arrow_vega_lite_chart")) + len(page.get("vega_lite_chart"))


def evidence(week: int, champion: Champion) -> Evidence:
    """Evidence on 1,000 reviews: the challenger is right on 800 and 10 more per week, the champion on 10 fewer."""
    right = 400 + 5 * week
    table = [
        [[right - 5, 0], [5, 500 - right]],
        [[500 - right, 5], [0, right - 5]],
    ]
    first = champion.version is None
    return Evidence(
        window=f"0-{week}",
        candidate="linear-svc",
        version=week + 1,
        model_digest=f"digest {week}",
        champion_epoch=champion.epoch,
        champion_version=champion.version,
        test_digest="0123456789abcdef",
        outcomes=table,
        slices={} if first else {"with title": [[[200, 0], [0, 50]], [[50, 0], [0, 200]]]},
        metrics={"macro_f1": 0.8 + week / 100, "accuracy": 0.8 + week / 100, "ece": 0.01},
        champion_metrics={} if first else {"macro_f1": 0.79 + week / 100, "accuracy": 0.79 + week / 100},
        validation={"accuracy": 0.8 + week / 100},
        validation_rows=1000,
    )


def decided(week: int, champion: Champion) -> Decision:
    found, policy = evidence(week, champion), GatePolicy()
    return Decision(
        subject=f"0-{week}",
        action="keep" if week == 1 else "promote",
        version=week + 1,
        previous=champion.version,
        window=f"0-{week}",
        candidate="linear-svc",
        reasons=["not beyond chance" if week == 1 else "beyond *chance*"],
        gate=GateRecord(evidence=found, policy=policy, verdict=decide(found, policy)),
    )


def twelve_weeks(store: Path) -> None:
    """Week 0 promotes, 1 keeps, all others promote; then a rollback. Batches from 1 on were scored."""
    ledger, storage = Ledger(SecretStr(f"sqlite:///{store}/ledger.db"), "review-sentiment"), FolderStorage(store)
    for week in range(12):
        champion = ledger.champion()
        ledger.record(decided(week, champion), champion)
        if week:
            prefix = keys.score(keys.batch_name(week))
            figures = {"metrics": {"macro_f1": 0.7 + week / 100}, "seconds": 30.0 + week, "peak_memory_mib": 512.0}
            scored = Manifest(job="score", prefix=prefix, finished_at=f"2026-01-{week + 10}T00:00:00+00:00", **figures)
            storage.write(keys.manifest(prefix), scored.model_dump_json().encode())
    champion = ledger.champion()
    back = {"action": "rollback", "version": 11, "previous": 12, "decided_by": "ada"}
    ledger.record(Decision(subject="back", reasons=["rolled back by hand"], **back), champion)
    ledger.engine.dispose()


def fill_log(
    url: str,
    rows: Sequence[LogRow],
    labels: Mapping[str, Label],
    experiment: str = "",
) -> None:
    """Fill a prediction log as the API does; `labels` are the true labels by prediction_id."""
    sink = DatabaseSink(SecretStr(url))
    given = [
        PredictionRecord(
            prediction_id=name, at=at, model_version=version, arm=arm, label=1 if probability >= 0.5 else 0,
            probability=probability, experiment=experiment if arm != "shadow" else "", title_length=0, text_length=1,
            terms=1, key="", seconds=0.001,
        )
        for name, at, version, arm, probability in rows
    ]  # fmt: skip
    now = datetime.now(UTC)
    sink.write(
        "test", given, [FeedbackRecord(prediction_id=name, label=label, at=now) for name, label in labels.items()]
    )
    sink.close()


@contextmanager
def fake_api(responses: Mapping[str, tuple[int, object]], patch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """An API with these responses (status, body) by path, named in the settings; yields the received JSON bodies."""
    bodies: list[Any] = []

    class FakeApi(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = responses[self.path.partition("?")[0]]
            is_authorized = self.headers["Authorization"] == f"Bearer {KEY}"
            self.send_response(status if is_authorized else 400)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            """Suppress the request log."""

    with HTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        patch.setenv("RATCHET_DASHBOARD_API", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("RATCHET_DASHBOARD_API_KEY", KEY)
        try:
            yield bodies
        finally:
            server.shutdown()
            thread.join()
