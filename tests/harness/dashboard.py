"""What the tests of the pages stand on: a page as Streamlit draws it, an API that says what it is told to, a log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage
from ratchet.ledger.store import Champion, Decision, Ledger
from ratchet.prediction_log.records import FeedbackRecord, PredictionRecord
from ratchet.prediction_log.sinks.database import DatabaseSink
from ratchet.promotion.gate import Evidence, Policy, decide

PAGES = ("retraining", "models", "decisions", "review", "live", "feedback", "costs")
AWAY = "127.0.0.1:9"  # nothing listens on the discard port
KEY = "a-key-for-tests"


def page(name: str) -> AppTest:
    """One page, not drawn yet."""

    def draw(name: str) -> None:
        from importlib import import_module

        from ratchet.dashboard.settings import DashboardSettings

        import_module(f"ratchet.dashboard.{name}").show(DashboardSettings())

    return AppTest.from_function(draw, args=(name,), default_timeout=30)


def drawn(name: str) -> AppTest:
    """One page, once it is sure that drawing it raised nothing."""
    found = page(name).run()
    assert not found.exception
    return found


def text(page: AppTest) -> str:
    """All that a page says outside of tables and charts."""
    kinds = ("title", "header", "subheader", "caption", "markdown", "text", "info", "warning", "error", "success")
    return "\n".join(each.value for kind in kinds for each in getattr(page, kind))


def facts(page: AppTest) -> dict[str, str]:
    """The figures on top of a page, by their names."""
    return {each.label: each.value for each in page.metric}


def charts(page: AppTest) -> int:
    return len(page.get("arrow_vega_lite_chart")) + len(page.get("vega_lite_chart"))


def evidence(week: int, champion: Champion) -> Evidence:
    """Of 1,000 reviews, of which the challenger reads 800 and 10 a week right, the champion 10 fewer."""
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
    found, policy = evidence(week, champion), Policy()
    return Decision(
        subject=f"0-{week}",
        action="keep" if week == 1 else "promote",
        version=week + 1,
        previous=champion.version,
        window=f"0-{week}",
        candidate="linear-svc",
        reasons=["not beyond chance" if week == 1 else "beyond *chance*"],
        evidence={
            "evidence": found.model_dump(mode="json"),
            "policy": policy.model_dump(mode="json"),
            "verdict": decide(found, policy).model_dump(mode="json"),
        },
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


def logged(
    url: str,
    rows: Sequence[tuple[str, datetime, int, str, float]],
    truths: dict[str, int],
    experiment: str = "",
) -> None:
    """Fill a prediction log as the API does: (id, at, version, arm, probability) of each, and true labels by id."""
    sink = DatabaseSink(SecretStr(url))
    unasked = {"title_length": 0, "text_length": 1, "terms": 1, "key": "", "seconds": 0.001}
    given = [
        PredictionRecord(
            prediction_id=name, at=at, model_version=version, arm=arm, label=int(probability >= 0.5),
            probability=probability, experiment=experiment if arm != "shadow" else "", **unasked,
        )
        for name, at, version, arm, probability in rows
    ]  # fmt: skip
    now = datetime.now(UTC)
    labels = [FeedbackRecord(prediction_id=name, label=label, at=now) for name, label in truths.items()]
    sink.write("test", given, labels)
    sink.close()


@contextmanager
def fake_api(answers: dict[str, tuple[int, object]], patch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """An API with these answers by path, to which the settings point; yields the bodies that it was asked with."""
    asked: list[object] = []

    class FakeApi(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path.partition("?")[0]]
            known = self.headers["Authorization"] == f"Bearer {KEY}"
            self.send_response(status if known else 400)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test's output is for what went wrong."""

    with HTTPServer(("127.0.0.1", 0), FakeApi) as server:
        answering = threading.Thread(target=server.serve_forever, daemon=True)
        answering.start()
        patch.setenv("RATCHET_DASHBOARD_API", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("RATCHET_DASHBOARD_API_KEY", KEY)
        try:
            yield asked
        finally:
            server.shutdown()
            answering.join()
