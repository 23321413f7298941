"""The verdict on an experiment: each conclusion with its reason, and no conclusion from a spoilt one."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ratchet.errors import ConfigurationError
from ratchet.experiments.comparison import Conclusion, Policy, Seen, Shadowed, compare, compare_shadow, sample_ratio

POLICY = Policy()


def seen(labelled: int, right: int, answered: int | None = None) -> Seen:
    return Seen(answered=2 * labelled if answered is None else answered, labelled=labelled, right=right)


@pytest.mark.parametrize(
    ("champion", "challenger", "conclusion", "says"),
    [
        (
            seen(5_000, 4_500),
            seen(5_000, 4_700),
            "challenger is better",
            "the challenger is better beyond chance: +0.04",
        ),
        (seen(5_000, 4_700), seen(5_000, 4_500), "champion is better", "the champion is better beyond chance: -0.04"),
        (seen(90_000, 81_000), seen(90_000, 81_050), "alike", "no difference of 0.01 or more: +0.0006"),
        (seen(500, 450), seen(500, 455), "not known yet", "neither shown nor ruled out: +0.01"),
        (seen(0, 0), seen(0, 0), "not known yet", "neither shown nor ruled out: unknown [-1.0000, +1.0000]"),
        (seen(50, 45, 20_000), seen(50, 45, 18_000), "not comparable", "exposures: the challenger's, 0.4737 of 38000"),
        (seen(5_000, 4_500, 20_000), seen(4_500, 4_100, 20_000), "not comparable", "labels: the challenger's, 0.4737"),
    ],
)
def test_each_conclusion_has_its_reason(champion: Seen, challenger: Seen, conclusion: Conclusion, says: str) -> None:
    """What decided it, or what spoils it, in one sentence with its figures."""
    verdict = compare(champion, challenger, 0.5, POLICY)
    assert verdict.conclusion == conclusion
    assert len(verdict.reasons) == 1
    assert says in verdict.reasons[0]


def test_the_figures_go_with_the_conclusion() -> None:
    """A better challenger has an interval above 0 and a small p; p and interval refute no difference together."""
    for right in range(4_500, 4_760, 20):
        verdict = compare(seen(5_000, 4_500), seen(5_000, right), 0.5, POLICY)
        assert verdict.difference == pytest.approx((right - 4_500) / 5_000)
        assert (verdict.p_value <= POLICY.significance) == (verdict.interval[0] > 0)
        assert (verdict.conclusion == "challenger is better") == (verdict.interval[0] > 0)


def test_shadow_mode_compares_the_same_reviews() -> None:
    """Only those count that exactly one got right, and no ratio can be wrong, because nothing was drawn."""
    better = compare_shadow(Shadowed(both=9_000, champion=100, challenger=200, neither=700), POLICY)
    assert (better.conclusion, better.difference) == ("challenger is better", 0.01)
    assert [check.name for check in better.checks] == ["difference"]
    worse = compare_shadow(Shadowed(both=9_000, champion=200, challenger=100, neither=700), POLICY)
    assert (worse.conclusion, worse.interval) == (
        "champion is better",
        pytest.approx([-each for each in better.interval[::-1]]),
    )
    assert compare_shadow(Shadowed(both=50, champion=1, challenger=2, neither=3), POLICY).conclusion == "not known yet"
    assert compare_shadow(Shadowed(both=10**6, champion=100, challenger=100), POLICY).conclusion == "alike"
    assert compare_shadow(Shadowed(both=0, champion=0, challenger=0), POLICY).difference is None


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_sound_ratio_is_hardly_ever_refused(share: float) -> None:
    """Somebody looks after each of 300 rows; the chance that any look refuses, to the digit, is in bounds."""
    policy = Policy(ratio_significance=0.05)
    sound, refused = np.array([1.0]), 0.0  # the chance of each number of challenger's rows, never refused so far
    for rows in range(1, 301):
        sound = np.append(sound * (1 - share), 0) + np.append(0, sound * share)
        passed = [sample_ratio("exposures", rows - many, many, share, policy).passed for many in range(rows + 1)]
        refused += sound[~np.array(passed)].sum()
        sound = sound * passed
    assert refused + sound.sum() == pytest.approx(1)
    assert 0 < refused <= 0.05


def test_rows_that_refute_everything_are_not_comparable() -> None:
    """Fifty of fifty for one arm leave no difference that explains them; the ratio is blamed before that is read."""
    verdict = compare(seen(0, 0, 50), seen(50, 50, 50), 0.5, POLICY)
    assert verdict.conclusion == "not comparable"
    assert verdict.reasons[0].startswith("labels")


def test_a_wrong_ratio_is_refused() -> None:
    """52 % instead of 50 % of 40,000, or 9 % instead of 10 %; what chance explains passes."""
    assert not sample_ratio("exposures", 19_200, 20_800, 0.5, POLICY).passed
    assert not sample_ratio("exposures", 36_400, 3_600, 0.1, POLICY).passed
    assert sample_ratio("exposures", 19_900, 20_100, 0.5, POLICY).passed
    assert sample_ratio("exposures", 0, 0, 0.5, POLICY).passed


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_one_arm_alone_is_no_experiment(share: float) -> None:
    """There is nothing to compare with, whatever the counts."""
    with pytest.raises(ConfigurationError, match="only one arm answers"):
        compare(seen(10, 9), seen(10, 9), share, POLICY)


@pytest.mark.parametrize(
    "counts", [{"answered": 1, "labelled": 2, "right": 0}, {"answered": 9, "labelled": 2, "right": 3}]
)
def test_counts_that_cannot_be_are_refused(counts: dict[str, int]) -> None:
    """More labels than answers, or more right ones than labels, come from a wrong query."""
    with pytest.raises(ValidationError, match="must not descend"):
        Seen(**counts)
