"""Every page alike: empty, whole, with each of its sources down; and the dashboard as a process."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from harness.dashboard import AWAY, PAGES, charts, drawn, text
from harness.project import PROJECT
from ratchet.dashboard import app
from ratchet.dashboard.settings import DashboardSettings

PREFIX = PROJECT / "include/ratchet/dashboard"
GONE = f"postgresql+psycopg://me:hunter2@{AWAY}/ratchet"
BREAKS = {
    "ledger": {"RATCHET_LEDGER": GONE, "RATCHET_SERVING_LOG": "sqlite://"},
    "store": {"RATCHET_STORE": "ftp://nowhere", "RATCHET_LEDGER": "sqlite:///{store}/ledger.db"},
    "API": {"RATCHET_DASHBOARD_API": f"http://{AWAY}"},
    "prediction log": {"RATCHET_SERVING_LOG": GONE},
}
NEEDS = {
    "ledger": {"retraining", "models", "decisions"},
    "store": {"retraining", "costs"},
    "API": {"retraining", "live"},  # and the page to try a review, once it is told to ask
    "prediction log": {"live", "feedback"},
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_means_and_what_to_do_next(store: Path, name: str) -> None:
    """Where nothing was done yet, there are words, and no chart and no table that would be empty."""
    page = drawn(name)
    assert page.title[0].value
    assert 50 < len(page.caption[0].value) < 300
    assert re.search(r"`(ratchet|POST|RATCHET)[ _]|Try a review", page.info[0].value)
    assert not page.error
    assert not page.dataframe
    assert not charts(page)


@pytest.mark.parametrize("source", BREAKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_source_that_is_down_is_named(weeks: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Whoever needs it says so, with what to do and without a password; the others do not notice."""
    for variable, value in BREAKS[source].items():
        monkeypatch.setenv(variable, value.format(store=weeks))
    page = drawn(name)
    told = [error.value for error in page.error if error.value.startswith(f"**The {source} is not available**")]
    assert bool(told) == (name in NEEDS[source])
    assert len(page.error) == len(told)
    assert all(re.search(r"\?|Check|Correct|neither a folder", each) for each in told)
    assert "hunter2" not in text(page)


@pytest.mark.parametrize("name", PAGES)
def test_mlflow_is_nothing_that_a_page_waits_for(weeks: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """All that the pages show of models is in ledger and store."""
    monkeypatch.setenv("RATCHET_TRACKING", f"http://{AWAY}")
    assert not drawn(name).error


@pytest.mark.parametrize("name", ["retraining", "models", "decisions", "feedback"])
def test_a_store_that_cannot_be_a_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ledger and log would lie in it; a wrong path is an error with a remedy, too."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path / "file" / "store"))
    page = drawn(name)
    assert page.error
    assert all("Check RATCHET_STORE" in error.value for error in page.error)


def test_all_pages_are_in_the_menu(store: Path) -> None:
    """The whole app draws its first page, and knows all others."""
    page = AppTest.from_file(app.__file__, default_timeout=30).run()
    assert not page.exception
    assert page.main[0].value == "Retraining"  # and nothing above it
    menu = [module.__name__.rpartition(".")[2] for entries in app.MENU.values() for module, _, _ in entries]
    assert sorted(menu) == sorted(PAGES)


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
    """Read-only by construction: nothing here calls what records, writes or deletes, and databases are opened in one
    place only, so that they themselves keep the connection from writing."""
    sources = {path.name: path.read_text() for path in PREFIX.rglob("*.py")}
    writing = re.compile(r"\.(?:record|write|upload|delete|insert|update|put|rollback)\(")
    assert [name for name, source in sources.items() if writing.search(source)] == []
    assert [name for name, source in sources.items() if "create_engine(" in source] == ["log.py"]


def test_only_pages_draw() -> None:
    """Queries can be asked without Streamlit, and are."""
    assert [path.name for path in (PREFIX / "queries").glob("*.py") if "streamlit" in path.read_text()] == []
