"""The page Models: intervals from counts, comparison of versions, slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.dashboard import charts, decided, page, render, text
from ratchet.dashboard.queries import intervals, ledger, versions
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.store import Champion, Ledger

TABLE = np.array([[[395, 0], [5, 100]], [[100, 5], [0, 395]]])  # the challenger is right on 800 of 1,000


def test_wilsons_interval_matches_published_values() -> None:
    """The values are those of Newcombe (1998), table I, and the limits at 0 and 1."""
    assert intervals.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert intervals.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert intervals.wilson(20, 20)[1] == 1.0
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_the_bootstrap_is_reproducible_and_agrees_with_wilson() -> None:
    """At 800 of 1,000 right, both intervals reach 2.5 points to either side."""
    low, high = intervals.bootstrap(TABLE, champion=False)
    assert (low, high) == intervals.bootstrap(TABLE, champion=False)
    assert low < 0.8 < high
    assert (low, high) == pytest.approx(intervals.wilson(800, 1000), abs=0.003)


def test_the_interval_has_its_nominal_coverage() -> None:
    """95 % of 300 test sets drawn from a known model; three standard errors are 3.8 %."""
    drawn = np.random.default_rng(1).multinomial(1000, TABLE.ravel() / 1000, size=300).reshape(-1, 2, 2, 2)
    limits = [intervals.bootstrap(table, champion=False) for table in drawn]
    covered = np.mean([low <= 0.8 <= high for low, high in limits])
    assert covered == pytest.approx(0.95, abs=0.038)


def test_versions_are_compared_from_the_counts_in_the_ledger(weeks: Path) -> None:
    """Accuracy rises from 0.80 (version 1) to 0.91 (version 12); the rollback, without evidence, changes no score."""
    table = versions.versions(ledger.decisions(DashboardSettings()))
    assert table["version"].tolist() == [number for number in range(1, 13) for _ in range(2)]
    accuracy = table[table["figure"] == "accuracy"].set_index("version")["value"]
    assert accuracy[1] == pytest.approx(0.8)
    assert accuracy[12] == pytest.approx(0.91)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_the_page_shows_every_version_and_the_champions_slices(weeks: Path) -> None:
    """Newest first, with intervals; version 11 is the champion after the rollback."""
    found = render("models")
    assert found.dataframe[0].value["version"].tolist() == list(range(12, 0, -1))
    assert found.selectbox[0].value == 11
    assert charts(found) == 2
    assert "Version 11 against the champion at that time, paired difference: macro-F1 +0.0100 [" in text(found)


def test_the_first_version_has_no_comparison(weeks: Path) -> None:
    """If it is selected, the page shows neither slices nor a difference, and names the reason."""
    found = page("models").run()
    found.selectbox[0].set_value(1).run()
    assert not found.exception
    assert "There was no champion to compare with" in text(found)
    assert "paired difference:" not in text(found)


def test_a_replaced_test_set_is_a_warning(weeks: Path) -> None:
    """Scores on different test sets cannot be compared, which a chart does not show."""
    url = DashboardSettings().ledger_url
    book = Ledger(url, "review-sentiment")
    champion = book.champion()
    row = decided(12, champion)
    evidence = row.gate.evidence.model_copy(update={"test_digest": "another"})
    book.record(row.model_copy(update={"gate": row.gate.model_copy(update={"evidence": evidence})}), champion)
    assert "The test set was replaced between versions" in text(render("models"))


def test_a_decision_without_counts_is_left_out() -> None:
    """A failed artifact has counts of zero, a manual decision has no evidence; neither can be compared."""
    failed = decided(1, Champion(epoch=1, version=1))
    evidence = failed.gate.evidence.model_copy(update={"outcomes": [[[0, 0], [0, 0]]] * 2})
    failed = failed.model_copy(update={"gate": failed.gate.model_copy(update={"evidence": evidence})})
    assert versions.judged([failed, failed.model_copy(update={"gate": None})]) == {}
