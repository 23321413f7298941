"""The page on retraining as Streamlit draws it: empty, full, and with a source that is down."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from ratchet import keys
from ratchet.dashboard import app, queries
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger import Champion, Decision, Ledger
from ratchet.manifests import Manifest
from ratchet.storage import FolderStorage

PROJECT = Path(__file__).parents[2]
AWAY = "127.0.0.1:9"  # nothing listens on the discard port


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data in which nothing was done yet; the environment names it."""
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path))
    return tmp_path


@pytest.fixture
def weeks(store: Path) -> Path:
    """Twelve weeks: 0 promotes, 1 keeps, all others promote; then a rollback. Batches from 1 on were scored."""
    ledger, storage = Ledger(SecretStr(f"sqlite:///{store}/ledger.db"), "review-sentiment"), FolderStorage(store)
    for week in range(12):
        champion = ledger.champion()
        ledger.record(decided(week, champion), champion)
        if week:
            room = keys.score(keys.batch_name(week))
            scored = Manifest(job="score", room=room, metrics={"macro_f1": 0.7 + week / 100})
            storage.write(keys.manifest(room), scored.model_dump_json().encode())
    champion = ledger.champion()
    back = {"action": "rollback", "version": 11, "previous": 12, "decided_by": "ada"}
    ledger.record(Decision(subject="back", reasons=["rolled back by hand"], **back), champion)
    return store


def decided(week: int, champion: Champion) -> Decision:
    figures = {"metrics": {"macro_f1": 0.8 + week / 100}}
    if week:
        figures["champion_metrics"] = {"macro_f1": 0.79 + week / 100}
    return Decision(
        subject=f"0-{week}",
        action="keep" if week == 1 else "promote",
        version=week + 1,
        previous=champion.version,
        window=f"0-{week}",
        candidate="linear-svc",
        reasons=["not beyond chance" if week == 1 else "beyond *chance*"],
        evidence={"evidence": figures},
    )


def drawn() -> AppTest:
    """The page, once it is sure that drawing it raised nothing."""
    page = AppTest.from_file(app.__file__, default_timeout=30).run()
    assert not page.exception
    return page


def text(page: AppTest) -> str:
    """All that the page says outside of tables and charts."""
    kinds = ("title", "header", "caption", "markdown", "text", "info", "warning", "error", "success")
    return "\n".join(each.value for kind in kinds for each in getattr(page, kind))


def test_an_empty_ledger_is_no_empty_page(store: Path) -> None:
    """It says that nothing was decided yet and what makes the first decision, and shows neither chart nor table."""
    page = drawn()
    assert "Nothing was decided yet" in text(page)
    assert "ratchet promote --window 0-0" in text(page)
    assert not page.dataframe
    assert not page.metric
    assert not page.error


def test_a_full_ledger_is_told_in_full(weeks: Path) -> None:
    """The champion after the rollback, and every decision with its reasons, newest first."""
    page = drawn()
    assert {each.label: each.value for each in page.metric} | {"Since (UTC)": ""} == {
        "Champion": "version 11", "Trained on batches": "0-10", "Macro-F1, test set": "0.9000", "Since (UTC)": "",
    }  # fmt: skip
    assert "rolled back by hand (decided by ada)" in text(page)
    table = page.dataframe[0].value
    assert table["decision"].tolist() == ["rollback", *["promote"] * 10, "keep", "promote"]
    assert table["because"].tolist()[-2:] == ["not beyond chance", "beyond *chance*"]
    assert table["window"].tolist()[1:] == [f"0-{week}" for week in reversed(range(12))]
    assert page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
    assert not page.error


def test_the_curve_has_a_point_for_all_that_was_measured(weeks: Path) -> None:
    """The champion's line takes the challenger's score where it was promoted, and its own where it was kept."""
    rows = queries.decisions(DashboardSettings())
    assert queries.windows(rows) == [f"0-{week}" for week in range(12)]
    curve = queries.curve(rows, queries.prequential(DashboardSettings(), queries.windows(rows)))
    found = {(row.window, row.score): round(row.macro_f1, 4) for row in curve.itertuples()}
    assert len(found) == 12 + 12 + 11
    assert (found["0-0", queries.CHALLENGER], found["0-0", queries.CHAMPION]) == (0.8, 0.8)
    assert (found["0-1", queries.CHALLENGER], found["0-1", queries.CHAMPION]) == (0.81, 0.8)
    assert (found["0-11", queries.CHAMPION], found["0-11", queries.PREQUENTIAL]) == (0.91, 0.81)


def test_a_challenger_that_failed_is_told_without_figures(store: Path) -> None:
    """No champion yet, no score: the page says so and shows the reasons."""
    ledger = Ledger(SecretStr(f"sqlite:///{store}/ledger.db"), "review-sentiment")
    failed = {"action": "keep", "version": None, "previous": None, "window": "0-0", "reasons": ["it does not load"]}
    ledger.record(Decision(subject="0-0", evidence={"evidence": {"metrics": {}}}, **failed), ledger.champion())
    page = drawn()
    assert "There is no champion yet" in text(page)
    assert "No challenger was measured yet" in text(page)
    assert page.dataframe[0].value["because"].tolist() == ["it does not load"]


def test_a_ledger_that_is_down_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says which source is missing and what to do, without its password."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:hunter2@{AWAY}/ratchet")
    page = drawn()
    assert len(page.error) == 1
    assert "The ledger is not available" in page.error[0].value
    assert "Is Postgres up?" in page.error[0].value
    assert "hunter2" not in text(page)


def test_a_store_that_is_down_costs_its_line_only(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Champion, decisions and the other two lines stay."""
    monkeypatch.setenv("RATCHET_LEDGER", f"sqlite:///{weeks}/ledger.db")
    monkeypatch.setenv("RATCHET_STORE", "ftp://nowhere")
    page = drawn()
    assert [each.value for each in page.error if "The store is not available" in each.value]
    assert page.metric
    assert len(page.dataframe[0].value) == 13


def test_an_api_that_is_down_costs_its_line_only(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says that the API did not answer and what to start."""
    monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://{AWAY}")
    page = drawn()
    assert "The API is not available" in page.error[0].value
    assert "ratchet serve" in page.error[0].value
    assert page.metric
    assert page.dataframe


@pytest.mark.parametrize(("version", "status", "says"), [
    (11, 200, "The API serves version 11, loaded 2026-01-05 07:00 UTC."),
    (12, 200, "The API serves version 12, which is not up to date."),
    (11, 401, "Correct RATCHET_DASHBOARD_API_KEY."),
    (11, 503, "The API serves nothing: no model"),
])  # fmt: skip
def test_the_api_is_compared_with_the_ledger(
    weeks: Path, monkeypatch: pytest.MonkeyPatch, version: int, status: int, says: str
) -> None:
    """Version 11 is champion: whoever serves another one, or nothing, is told of, and so is a key that it refuses."""
    body = {"promotion": {"version": version}, "problem": "", "loaded_at": "2026-01-05T07:00:00Z", "detail": "no model"}

    class FakeApi(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.headers["Authorization"] == "Bearer key" else 400)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *arguments: object) -> None:
            """Nothing: the test's output is for what went wrong."""

    with HTTPServer(("127.0.0.1", 0), FakeApi) as server:
        answering = threading.Thread(target=server.serve_forever, daemon=True)
        answering.start()
        monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("RATCHET_DASHBOARD_API_KEY", "key")
        try:
            assert says in text(drawn())
        finally:
            server.shutdown()


@pytest.fixture
def process(weeks: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`ratchet dashboard` on a free port with a home that cannot be written to, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "dashboard", "--port", str(port), "--store", str(weeks)],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "include"), "HOME": "/proc"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_the_process_answers_and_ends(process: tuple[subprocess.Popen[bytes], str]) -> None:
    """Its health check says ok, and SIGTERM ends it with 0."""
    running, address = process
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), base_url=address) as client:
        assert client.get("/_stcore/health").text == "ok"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0


def test_every_setting_of_the_dashboard_is_documented() -> None:
    """A setting that nobody can find is not a setting."""
    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in DashboardSettings.model_fields if f"RATCHET_{name.upper()}" not in guide] == []


def test_the_dashboard_has_no_query_that_writes() -> None:
    """Read-only by construction: no page and no query calls what records, writes or deletes."""
    sources = "".join(path.read_text() for path in (PROJECT / "include/ratchet/dashboard").glob("*.py"))
    assert not re.findall(r"\.(?:record|write|upload|delete|execute|post|put)\(", sources)
