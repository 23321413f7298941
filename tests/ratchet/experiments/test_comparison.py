"""The verdict on an experiment: each conclusion has its reason, and an invalid experiment has no conclusion."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ratchet.errors import ConfigurationError
from ratchet.experiments.comparison import (
    ArmCounts,
    Conclusion,
    PairedCounts,
    Policy,
    compare,
    compare_shadow,
    sample_ratio,
)

POLICY = Policy()


def counts_of(labelled: int, right: int, answered: int | None = None) -> ArmCounts:
    return ArmCounts(answered=2 * labelled if answered is None else answered, labelled=labelled, right=right)


@pytest.mark.parametrize(
    ("champion", "challenger", "conclusion", "reason"),
    [
        (
            counts_of(5_000, 4_500),
            counts_of(5_000, 4_700),
            "challenger is better",
            "the challenger is better beyond chance: +0.04",
        ),
        (
            counts_of(5_000, 4_700),
            counts_of(5_000, 4_500),
            "champion is better",
            "the champion is better beyond chance: -0.04",
        ),
        (counts_of(90_000, 81_000), counts_of(90_000, 81_050), "alike", "no difference of 0.01 or more: +0.0006"),
        (counts_of(500, 450), counts_of(500, 455), "not known yet", "neither shown nor ruled out: +0.01"),
        (counts_of(0, 0), counts_of(0, 0), "not known yet", "neither shown nor ruled out: unknown [-1.0000, +1.0000]"),
        (
            counts_of(50, 45, 20_000),
            counts_of(50, 45, 18_000),
            "not comparable",
            "exposures: the challenger's part, 0.4737 of 38000",
        ),
        (
            counts_of(5_000, 4_500, 20_000),
            counts_of(4_500, 4_100, 20_000),
            "not comparable",
            "labels: the challenger's part, 0.4737",
        ),
    ],
)
def test_each_conclusion_has_its_reason(
    champion: ArmCounts, challenger: ArmCounts, conclusion: Conclusion, reason: str
) -> None:
    """The verdict has one reason, a sentence with the figures that decided it or that invalidate the comparison."""
    verdict = compare(champion, challenger, 0.5, POLICY)
    assert verdict.conclusion == conclusion
    assert len(verdict.reasons) == 1
    assert reason in verdict.reasons[0]


def test_the_figures_go_with_the_conclusion() -> None:
    """A better challenger has an interval above 0 and a small p-value; both refute `no difference` together."""
    for right in range(4_500, 4_760, 20):
        verdict = compare(counts_of(5_000, 4_500), counts_of(5_000, right), 0.5, POLICY)
        assert verdict.difference == pytest.approx((right - 4_500) / 5_000)
        assert (verdict.p_value <= POLICY.significance) == (verdict.interval[0] > 0)
        assert (verdict.conclusion == "challenger is better") == (verdict.interval[0] > 0)


def test_shadow_mode_compares_the_same_reviews() -> None:
    """Only reviews that exactly one arm got right count, and no ratio is checked, because nothing was drawn."""
    better = compare_shadow(PairedCounts(both=9_000, champion=100, challenger=200, neither=700), POLICY)
    assert (better.conclusion, better.difference) == ("challenger is better", 0.01)
    assert [check.name for check in better.checks] == ["difference"]
    worse = compare_shadow(PairedCounts(both=9_000, champion=200, challenger=100, neither=700), POLICY)
    assert worse.conclusion == "champion is better"
    assert worse.interval == pytest.approx([-each for each in better.interval[::-1]])
    assert (
        compare_shadow(PairedCounts(both=50, champion=1, challenger=2, neither=3), POLICY).conclusion == "not known yet"
    )
    assert compare_shadow(PairedCounts(both=10**6, champion=100, challenger=100), POLICY).conclusion == "alike"
    assert compare_shadow(PairedCounts(both=0, champion=0, challenger=0), POLICY).difference is None


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_correct_ratio_is_refused_rarely(share: float) -> None:
    """Evaluated after each of 300 rows, the exact probability of any refusal is within the significance."""
    policy = Policy(ratio_significance=0.05)
    sound, refused = np.array([1.0]), 0.0  # probability of each number of challenger rows without a refusal so far
    for rows in range(1, 301):
        sound = np.append(sound * (1 - share), 0) + np.append(0, sound * share)
        passed = [sample_ratio("exposures", rows - many, many, share, policy).passed for many in range(rows + 1)]
        refused += sound[~np.array(passed)].sum()
        sound = sound * passed
    assert refused + sound.sum() == pytest.approx(1)
    assert 0 < refused <= 0.05


def test_rows_that_refute_everything_are_not_comparable() -> None:
    """Fifty rows of fifty for one arm refute every difference; the reason given is the ratio."""
    verdict = compare(counts_of(0, 0, 50), counts_of(50, 50, 50), 0.5, POLICY)
    assert verdict.conclusion == "not comparable"
    assert verdict.reasons[0].startswith("labels")


def test_a_wrong_ratio_is_refused() -> None:
    """52 % instead of 50 % of 40,000, or 9 % instead of 10 %, is refused; a deviation within chance passes."""
    assert not sample_ratio("exposures", 19_200, 20_800, 0.5, POLICY).passed
    assert not sample_ratio("exposures", 36_400, 3_600, 0.1, POLICY).passed
    assert sample_ratio("exposures", 19_900, 20_100, 0.5, POLICY).passed
    assert sample_ratio("exposures", 0, 0, 0.5, POLICY).passed


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_one_arm_alone_is_no_experiment(share: float) -> None:
    """Without a second arm there is nothing to compare, for any counts."""
    with pytest.raises(ConfigurationError, match="only one arm answers"):
        compare(counts_of(10, 9), counts_of(10, 9), share, POLICY)


@pytest.mark.parametrize(
    "counts", [{"answered": 1, "labelled": 2, "right": 0}, {"answered": 9, "labelled": 2, "right": 3}]
)
def test_impossible_counts_are_refused(counts: dict[str, int]) -> None:
    """More labels than answers, or more correct ones than labels, come from a wrong query."""
    with pytest.raises(ValidationError, match="must not descend"):
        ArmCounts(**counts)
