"""The page Retraining: with an empty ledger, with twelve weeks, and with a source that is down."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from harness.dashboard import UNREACHABLE, charts, fake_api, metrics, render, text
from harness.ledger import gate_record
from ratchet.dashboard.queries import ledger as queries
from ratchet.dashboard.queries import store as manifests
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Ledger


def test_with_an_empty_ledger_the_page_shows_the_first_step(store: Path) -> None:
    """It explains that there is no decision yet and how to make the first, and shows neither chart nor table."""
    page = render("retraining")
    assert "There is no decision yet" in text(page)
    assert "ratchet promote --window 0-0" in text(page)
    assert not page.dataframe
    assert not page.metric
    assert not page.error


def test_a_full_ledger_is_shown_completely(weeks: Path) -> None:
    """The champion after the rollback, and a row per week, newest first."""
    page = render("retraining")
    assert metrics(page) == {"Champion": "version 11", "Trained on batches": "0-10", "Macro-F1, test set": "0.9000"}
    assert "rolled back by hand (decided by ada)" in text(page)
    table = page.dataframe[0].value
    assert table["decision"].tolist() == [*["promote"] * 10, "keep", "promote"]
    assert table["window"].tolist() == [f"0-{week}" for week in reversed(range(12))]
    assert table["champion"].tolist()[-3:] == [3, 1, 1]
    assert charts(page) == 1
    assert not page.error


def test_the_curve_has_a_point_for_every_score(weeks: Path) -> None:
    """The champion's line has the challenger's score where it was promoted, else the champion's own."""
    rows = queries.decisions(DashboardSettings())
    assert rows.windows == [f"0-{week}" for week in range(12)]
    curve = queries.curve(queries.weeks(rows, manifests.prequential_scores(DashboardSettings(), rows.windows)))
    found = {(row.window, row.score): round(row.macro_f1, 4) for row in curve.itertuples()}
    assert len(found) == 12 + 12 + 11
    assert (found["0-0", queries.CHALLENGER], found["0-0", queries.CHAMPION]) == (0.8, 0.8)
    assert (found["0-1", queries.CHALLENGER], found["0-1", queries.CHAMPION]) == (0.81, 0.8)
    assert (found["0-11", queries.CHAMPION], found["0-11", queries.PREQUENTIAL]) == (0.91, 0.81)


def test_a_failed_challenger_is_shown_without_scores(store: Path) -> None:
    """Without champion and score, the page states both and shows the reasons."""
    ledger = Ledger(SecretStr(f"sqlite:///{store}/ledger.db"), "review-sentiment")
    failed = {"action": "keep", "version": None, "previous": None, "window": "0-0", "reasons": ["it does not load"]}
    ledger.record(Decision(subject="0-0", gate=gate_record(None, "unreadable"), **failed), ledger.champion())
    page = render("retraining")
    assert "There is no champion yet" in text(page)
    assert "No challenger was evaluated yet" in text(page)
    assert page.dataframe[0].value["decision"].tolist() == ["keep"]
    assert render("decisions").dataframe[0].value["because"].tolist() == ["it does not load"]


def test_a_ledger_that_is_down_is_an_error(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the source and the remedy, without the password."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:hunter2@{UNREACHABLE}/ratchet")
    page = render("retraining")
    assert len(page.error) == 1
    assert "The ledger is not available" in page.error[0].value
    assert "Is Postgres up?" in page.error[0].value
    assert "hunter2" not in text(page)


def test_without_the_store_only_the_prequential_line_is_missing(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Champion, weeks and the other two lines are shown."""
    monkeypatch.setenv("RATCHET_LEDGER", f"sqlite:///{weeks}/ledger.db")
    monkeypatch.setenv("RATCHET_STORE", "ftp://nowhere")
    page = render("retraining")
    assert [each.value for each in page.error if "The store is not available" in each.value]
    assert page.metric
    assert len(page.dataframe[0].value) == 12
    assert page.dataframe[0].value[queries.PREQUENTIAL].isna().all()


def test_without_the_api_only_its_line_is_missing(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page states that the API did not answer, and names the command that starts it."""
    monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://{UNREACHABLE}")
    page = render("retraining")
    assert "The API is not available" in page.error[0].value
    assert "ratchet serve" in page.error[0].value
    assert page.metric
    assert page.dataframe


@pytest.mark.parametrize(("version", "status", "message"), [
    (11, 200, "The API serves version 11, loaded 2026-01-05 07:00 UTC."),
    (12, 200, "The API serves version 12, which is not up to date."),
    (11, 401, "Correct RATCHET_DASHBOARD_API_KEY."),
    (11, 503, "The API cannot answer now: no model"),
])  # fmt: skip
def test_the_api_is_compared_with_the_ledger(
    weeks: Path, monkeypatch: pytest.MonkeyPatch, version: int, status: int, message: str
) -> None:
    """Version 11 is the champion: the page shows if the API serves another, is not ready, or refuses the key."""
    body = {"promotion": {"version": version}, "problem": "", "loaded_at": "2026-01-05T07:00:00Z", "detail": "no model"}
    with fake_api({"/v1/model": (status, body)}, monkeypatch):
        assert message in text(render("retraining"))
