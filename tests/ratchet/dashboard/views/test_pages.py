"""All pages: with an empty store, with each of their sources down; and the dashboard as a process."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from harness.dashboard import PAGES, UNREACHABLE, charts, render, text
from harness.project import PROJECT
from ratchet.dashboard import app
from ratchet.dashboard.settings import DashboardSettings

PREFIX = PROJECT / "include/ratchet/dashboard"
UNREACHABLE_DATABASE = f"postgresql+psycopg://me:hunter2@{UNREACHABLE}/ratchet"
BREAKS = {
    "ledger": {"RATCHET_LEDGER": UNREACHABLE_DATABASE, "RATCHET_SERVING_LOG": "sqlite://"},
    "store": {"RATCHET_STORE": "ftp://nowhere", "RATCHET_LEDGER": "sqlite:///{store}/ledger.db"},
    "API": {"RATCHET_DASHBOARD_API": f"http://{UNREACHABLE}"},
    "prediction log": {"RATCHET_SERVING_LOG": UNREACHABLE_DATABASE},
}
NEEDS = {
    "ledger": {"retraining", "models", "decisions"},
    "store": {"retraining", "costs"},
    "API": {"retraining", "live"},  # and Try a review, after its button is pressed
    "prediction log": {"live", "feedback"},
}


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_page_explains_itself_and_the_next_step(store: Path, name: str) -> None:
    """Without data it shows text, and no empty chart or table."""
    page = render(name)
    assert page.title[0].value
    assert 50 < len(page.caption[0].value) < 300
    assert re.search(r"`(ratchet|POST|RATCHET)[ _]|Try a review", page.info[0].value)
    assert not page.error
    assert not page.dataframe
    assert not charts(page)


@pytest.mark.parametrize("source", BREAKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_source_that_is_down_is_named(weeks: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Pages that need it name it, with a remedy and without a password; other pages show no error."""
    for variable, value in BREAKS[source].items():
        monkeypatch.setenv(variable, value.format(store=weeks))
    page = render(name)
    messages = [error.value for error in page.error if error.value.startswith(f"**The {source} is not available**")]
    assert bool(messages) == (name in NEEDS[source])
    assert len(page.error) == len(messages)
    assert all(re.search(r"\?|Check|Correct|neither a folder", each) for each in messages)
    assert "hunter2" not in text(page)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_mlflow(weeks: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """All data about models come from the ledger and the store."""
    monkeypatch.setenv("RATCHET_TRACKING", f"http://{UNREACHABLE}")
    assert not render(name).error


@pytest.mark.parametrize("name", ["retraining", "models", "decisions", "feedback"])
def test_a_store_that_cannot_be_a_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The ledger and the log are in it by default; the message names the setting to check."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path / "file" / "store"))
    page = render(name)
    assert page.error
    assert all("Check RATCHET_STORE" in error.value for error in page.error)


def test_all_pages_are_in_the_menu(store: Path) -> None:
    """The app renders its first page, and its menu has all others."""
    page = AppTest.from_file(app.__file__, default_timeout=30).run()
    assert not page.exception
    assert page.main[0].value == "Retraining"  # type: ignore[union-attr]  # nothing is above the title
    menu = [module.__name__.rpartition(".")[2] for entries in app.MENU.values() for module, _, _ in entries]
    assert sorted(menu) == sorted(PAGES)


def test_the_process_serves_and_stops(process: tuple[subprocess.Popen[bytes], str]) -> None:
    """Its health check answers ok, and SIGTERM ends it with exit code 0."""
    running, address = process
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), base_url=address) as client:
        assert client.get("/_stcore/health").text == "ok"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0


def test_every_setting_of_the_dashboard_is_documented() -> None:
    """Every field has its variable in docs/settings.md."""
    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in DashboardSettings.model_fields if f"RATCHET_{name.upper()}" not in guide] == []


def test_the_dashboard_has_no_query_that_writes() -> None:
    """No module calls a method that writes, and one module only opens databases, on read-only connections."""
    sources = {path.name: path.read_text() for path in PREFIX.rglob("*.py")}
    writing = re.compile(r"\.(?:record|write|upload|delete|insert|update|put|rollback)\(")
    assert [name for name, source in sources.items() if writing.search(source)] == []
    assert [name for name, source in sources.items() if "create_engine(" in source] == ["log.py"]


def test_only_pages_draw() -> None:
    """Queries do not import Streamlit."""
    assert [path.name for path in (PREFIX / "queries").glob("*.py") if "streamlit" in path.read_text()] == []


def test_no_folder_is_named_pages() -> None:
    """Streamlit runs the files of a folder `pages` beside the script itself: the address of a page would be empty."""
    assert not (PREFIX / "pages").exists()
