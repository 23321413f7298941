"""The page on retraining as Streamlit draws it: empty, full, and with a source that is down."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from harness.dashboard import AWAY, charts, drawn, facts, fake_api, text
from ratchet.dashboard.queries import ledger as queries
from ratchet.dashboard.queries import store as manifests
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.store import Decision, Ledger


def test_an_empty_ledger_is_no_empty_page(store: Path) -> None:
    """It says that nothing was decided yet and what makes the first decision, and shows neither chart nor table."""
    page = drawn("retraining")
    assert "Nothing was decided yet" in text(page)
    assert "ratchet promote --window 0-0" in text(page)
    assert not page.dataframe
    assert not page.metric
    assert not page.error


def test_a_full_ledger_is_told_in_full(weeks: Path) -> None:
    """The champion after the rollback, and a row per week, newest first."""
    page = drawn("retraining")
    assert facts(page) == {"Champion": "version 11", "Trained on batches": "0-10", "Macro-F1, test set": "0.9000"}
    assert "rolled back by hand (decided by ada)" in text(page)
    table = page.dataframe[0].value
    assert table["decision"].tolist() == [*["promote"] * 10, "keep", "promote"]
    assert table["window"].tolist() == [f"0-{week}" for week in reversed(range(12))]
    assert table["champion"].tolist()[-3:] == [3, 1, 1]
    assert charts(page) == 1
    assert not page.error


def test_the_curve_has_a_point_for_all_that_was_measured(weeks: Path) -> None:
    """The champion's line takes the challenger's score where it was promoted, and its own where it was kept."""
    rows = queries.decisions(DashboardSettings())
    assert queries.windows(rows) == [f"0-{week}" for week in range(12)]
    curve = queries.curve(queries.weeks(rows, manifests.prequential(DashboardSettings(), queries.windows(rows))))
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
    page = drawn("retraining")
    assert "There is no champion yet" in text(page)
    assert "No challenger was measured yet" in text(page)
    assert page.dataframe[0].value["decision"].tolist() == ["keep"]
    assert drawn("decisions").dataframe[0].value["because"].tolist() == ["it does not load"]


def test_a_ledger_that_is_down_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says which source is missing and what to do, without its password."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:hunter2@{AWAY}/ratchet")
    page = drawn("retraining")
    assert len(page.error) == 1
    assert "The ledger is not available" in page.error[0].value
    assert "Is Postgres up?" in page.error[0].value
    assert "hunter2" not in text(page)


def test_a_store_that_is_down_costs_its_line_only(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Champion, weeks and the other two lines stay."""
    monkeypatch.setenv("RATCHET_LEDGER", f"sqlite:///{weeks}/ledger.db")
    monkeypatch.setenv("RATCHET_STORE", "ftp://nowhere")
    page = drawn("retraining")
    assert [each.value for each in page.error if "The store is not available" in each.value]
    assert page.metric
    assert len(page.dataframe[0].value) == 12
    assert page.dataframe[0].value[queries.PREQUENTIAL].isna().all()


def test_an_api_that_is_down_costs_its_line_only(weeks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says that the API did not answer and what to start."""
    monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://{AWAY}")
    page = drawn("retraining")
    assert "The API is not available" in page.error[0].value
    assert "ratchet serve" in page.error[0].value
    assert page.metric
    assert page.dataframe


@pytest.mark.parametrize(("version", "status", "says"), [
    (11, 200, "The API serves version 11, loaded 2026-01-05 07:00 UTC."),
    (12, 200, "The API serves version 12, which is not up to date."),
    (11, 401, "Correct RATCHET_DASHBOARD_API_KEY."),
    (11, 503, "The API cannot answer now: no model"),
])  # fmt: skip
def test_the_api_is_compared_with_the_ledger(
    weeks: Path, monkeypatch: pytest.MonkeyPatch, version: int, status: int, says: str
) -> None:
    """Version 11 is champion: whoever serves another one, or nothing, is told of, and so is a key that it refuses."""
    body = {"promotion": {"version": version}, "problem": "", "loaded_at": "2026-01-05T07:00:00Z", "detail": "no model"}
    with fake_api({"/v1/model": (status, body)}, monkeypatch):
        assert says in text(drawn("retraining"))
