"""The bets are fair under their hypothesis, so that repeated evaluation is valid; and they find real differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.experiments.sequential_test import BettingTest

ROWS, EXPERIMENTS = 4_000, 400
EVALUATIONS = np.unique(np.geomspace(1, ROWS, 120).astype(int)) - 1

shares = st.floats(0.01, 0.99)
rates = st.floats(0.0, 1.0)
four = st.lists(st.integers(0, 2_000), min_size=4, max_size=4)


def experiments(champion: np.ndarray, challenger: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Counts by cell at every evaluation, shape (experiments, evaluations, 4); accuracies, shape (rows,), may drift."""
    rng = np.random.default_rng(seed)
    drawn = rng.random((EXPERIMENTS, len(champion))) < share
    right = rng.random(drawn.shape) < np.where(drawn, challenger, champion)
    cells = [drawn & right, drawn & ~right, ~drawn & right, ~drawn & ~right]
    return np.stack([np.cumsum(cell, axis=1)[:, EVALUATIONS] for cell in cells], axis=-1)


def ever(bets: BettingTest, counts: np.ndarray, difference: float = 0.0, significance: float = 0.05) -> float:
    """Share of the experiments in which any evaluation refutes a difference."""
    return float((bets.log_capital(counts, difference) >= -np.log(significance)).any(axis=1).mean())


@given(four, shares, rates, rates)
def test_bets_on_arms_are_fair(counts: list[int], share: float, champion: float, challenger: float) -> None:
    """If the difference is the supposed one, the expected capital after another row is the capital before it."""
    odds = np.array(
        [share * challenger, share * (1 - challenger), (1 - share) * champion, (1 - share) * (1 - champion)]
    )
    assert_fair(BettingTest.for_arms(share), counts, odds, challenger - champion)


@given(st.lists(st.integers(0, 2_000), min_size=3, max_size=3), rates, rates)
def test_bets_on_pairs_are_fair(counts: list[int], alone: float, which: float) -> None:
    """The same for rows that both arms predicted, however often they differ."""
    odds = np.array([alone * which, alone * (1 - which), 1 - alone])
    assert_fair(BettingTest.for_pairs(), counts, odds, float(odds[0] - odds[1]))


def assert_fair(bets: BettingTest, counts: list[int], odds: np.ndarray, difference: float) -> None:
    now = bets.log_capital(counts, difference)
    after = bets.log_capital(np.array(counts) + np.eye(len(odds), dtype=int), difference)
    assert odds @ np.exp(after - now) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.92, 0.999])
def test_repeated_evaluation_finds_no_difference_where_there_is_none(accuracy: float, share: float) -> None:
    """With 120 evaluations each, at most one in twenty experiments reports a difference."""
    alike = np.full(ROWS, accuracy)
    assert ever(BettingTest.for_arms(share), experiments(alike, alike, share)) <= 0.05


def test_drift_of_both_arms_is_no_difference() -> None:
    """Accuracy falls from 0.95 to 0.6 in the middle of the experiment, for both alike."""
    falling = np.linspace(0.95, 0.6, ROWS)
    assert ever(BettingTest.for_arms(0.3), experiments(falling, falling, 0.3)) <= 0.05


def test_a_test_of_fixed_size_is_not_valid_under_repeated_evaluation() -> None:
    """The usual z-test at the same evaluations reports a difference in more than 15 % of the experiments."""
    alike = np.full(ROWS, 0.9)
    right, wrong, other, another = np.moveaxis(
        experiments(alike, alike, 0.5)[:, EVALUATIONS >= 100].astype(float), -1, 0
    )
    first, second, pooled = (
        right / (right + wrong),
        other / (other + another),
        (right + other) / (EVALUATIONS[EVALUATIONS >= 100] + 1),
    )
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / (right + wrong) + 1 / (other + another)))
    assert (np.abs(first - second) > 1.96 * deviation).any(axis=1).mean() > 0.15


@pytest.mark.parametrize(("champion", "challenger", "share"), [(0.85, 0.90, 0.5), (0.90, 0.85, 0.5), (0.75, 0.85, 0.1)])
def test_a_real_difference_is_found(champion: float, challenger: float, share: float) -> None:
    """Within three times the rows that a test of fixed size, evaluated once, needs to find it in 80 % of cases."""
    variance = champion * (1 - champion) / (1 - share) + challenger * (1 - challenger) / share
    needed = 3 * (1.96 + 0.84) ** 2 * variance / (challenger - champion) ** 2
    assert needed < 5_000
    counts = experiments(np.full(ROWS, champion), np.full(ROWS, challenger), share)[:, needed > EVALUATIONS]
    assert ever(BettingTest.for_arms(share), counts) >= 0.8


@pytest.mark.parametrize(("champion", "challenger", "share"), [(0.9, 0.93, 0.5), (0.97, 0.9, 0.2), (0.6, 0.6, 0.5)])
def test_the_interval_contains_the_difference_at_every_evaluation(
    champion: float, challenger: float, share: float
) -> None:
    """In 95 of 100 experiments no evaluation refutes the true difference; the interval is the set not refuted."""
    bets, difference = BettingTest.for_arms(share), challenger - champion
    counts = experiments(np.full(ROWS, champion), np.full(ROWS, challenger), share)
    assert ever(bets, counts, difference) <= 0.05
    for seen in counts[:5].reshape(-1, 4)[::40].tolist():
        low, high = bets.interval(seen, 0.05)
        refuted = bool(bets.log_capital(seen, difference) >= -np.log(0.05))
        assert refuted == (not low < difference < high)


@given(four, shares)
def test_the_interval_is_symmetric_in_the_arms(counts: list[int], share: float) -> None:
    """With the arms exchanged, the interval has the other sign."""
    low, high = BettingTest.for_arms(share).interval(counts, 0.05)
    other = BettingTest.for_arms(1 - share).interval([*counts[2:], *counts[:2]], 0.05)
    assert (-high, -low) == pytest.approx(other, abs=1e-6)


def test_more_rows_narrow_the_interval() -> None:
    """It begins as [-1, 1] and always contains the difference."""
    bets = BettingTest.for_arms(0.5)
    assert bets.interval([0, 0, 0, 0], 0.05) == (-1, 1)
    widths = []
    for times in (1, 10, 100, 1_000):
        low, high = bets.interval([93 * times, 7 * times, 90 * times, 10 * times], 0.05)
        assert low < 0.03 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01
