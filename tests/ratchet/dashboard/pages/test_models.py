"""The page on model versions: intervals from counts, versions side by side, slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.dashboard import charts, decided, drawn, page, text
from ratchet.dashboard.queries import intervals, ledger, versions
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.store import Champion, Ledger

TABLE = np.array([[[395, 0], [5, 100]], [[100, 5], [0, 395]]])  # the challenger reads 800 of 1,000 right


def test_wilsons_interval_is_the_known_one() -> None:
    """Figures of Newcombe (1998), table I, and what is certain at the ends."""
    assert intervals.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert intervals.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert intervals.wilson(20, 20)[1] == 1.0
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_the_bootstrap_is_the_same_every_time_and_about_as_wide_as_chance() -> None:
    """At 800 of 1,000 right, 95 % of samples lie within 2.5 points, as Wilson has it for the accuracy."""
    low, high = intervals.bootstrap(TABLE, champion=False)
    assert (low, high) == intervals.bootstrap(TABLE, champion=False)
    assert low < 0.8 < high
    assert (low, high) == pytest.approx(intervals.wilson(800, 1000), abs=0.003)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 300 test sets drawn from a known model, 95 %; three standard errors are 3.8 %."""
    drawn = np.random.default_rng(1).multinomial(1000, TABLE.ravel() / 1000, size=300).reshape(-1, 2, 2, 2)
    limits = [intervals.bootstrap(table, champion=False) for table in drawn]
    covered = np.mean([low <= 0.8 <= high for low, high in limits])
    assert covered == pytest.approx(0.95, abs=0.038)


def test_versions_are_compared_by_what_the_ledger_keeps(weeks: Path) -> None:
    """Version 1 reads 795 of 1,000 right, version 12 905; the rollback, which measured nothing, changes no figure."""
    table = versions.versions(ledger.decisions(DashboardSettings()))
    assert table["version"].tolist() == [number for number in range(1, 13) for _ in range(2)]
    accuracy = table[table["figure"] == "accuracy"].set_index("version")["value"]
    assert accuracy[1] == pytest.approx(0.8)
    assert accuracy[12] == pytest.approx(0.91)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_the_page_shows_every_version_and_the_champions_slices(weeks: Path) -> None:
    """Newest first, with intervals; version 11 is champion after the rollback."""
    found = drawn("models")
    assert found.dataframe[0].value["version"].tolist() == list(range(12, 0, -1))
    assert found.selectbox[0].value == 11
    assert charts(found) == 2
    assert "Version 11 against the champion of that time, paired: macro-F1 +0.0100 [" in text(found)


def test_the_first_version_had_nobody_to_be_compared_with(weeks: Path) -> None:
    """Chosen, it has no slices and no difference, and says so."""
    found = page("models").run()
    found.selectbox[0].set_value(1).run()
    assert not found.exception
    assert "There was no champion to compare with" in text(found)
    assert "paired:" not in text(found)


def test_versions_of_another_test_set_are_told_apart(weeks: Path) -> None:
    """A test set that was replaced makes figures incomparable, which nobody sees in a chart."""
    url = DashboardSettings().ledger_url
    book = Ledger(url, "review-sentiment")
    champion = book.champion()
    row = decided(12, champion)
    evidence = row.gate.evidence.model_copy(update={"test_digest": "another"})
    book.record(row.model_copy(update={"gate": row.gate.model_copy(update={"evidence": evidence})}), champion)
    assert "The test set was replaced in between" in text(drawn("models"))


def test_a_decision_without_counts_is_left_out() -> None:
    """A model whose artifact failed has zeros, one by hand has no evidence; neither is a version to compare."""
    failed = decided(1, Champion(epoch=1, version=1))
    evidence = failed.gate.evidence.model_copy(update={"outcomes": [[[0, 0], [0, 0]]] * 2})
    failed = failed.model_copy(update={"gate": failed.gate.model_copy(update={"evidence": evidence})})
    assert versions.judged([failed, failed.model_copy(update={"gate": None})]) == {}
