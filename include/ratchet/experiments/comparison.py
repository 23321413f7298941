"""Compares the accuracy of two arms: pure functions from counts to a verdict with reasons, without clock or storage.

People evaluate a running experiment at any time and stop when they like the result. Used that way, a test of fixed size
has far more false positives than its significance; the tests here do not, however often they are evaluated. See
sequential_test.py.

Assumptions: each row's arm was drawn independently with the configured share, and whether its label becomes known does
not depend on the arm. Accuracy may drift, for both arms alike. Rows of one `unit` share one draw: where many rows share
a unit, count one row of each unit.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from ratchet.errors import ConfigurationError
from ratchet.experiments.sequential_test import BettingTest
from ratchet.ledger.decision import Check

PRIOR_ROWS = 100.0
"""Weight of the prior in the sample-ratio check, in rows. Bugs cause deviations of some hundredths."""

Conclusion = Literal["challenger is better", "champion is better", "alike", "not known yet", "not comparable"]


class Policy(BaseModel):
    """The thresholds. Versioned code, so that a change is a reviewed commit."""

    model_config = ConfigDict(frozen=True)

    significance: float = Field(0.05, description="Probability of ever reporting a difference if there is none.")
    ratio_significance: float = Field(
        0.001, description="Probability of ever refusing a sound experiment, for exposures and for labels."
    )
    margin: float = Field(0.01, description="The smallest difference in accuracy that matters.")


class ArmCounts(BaseModel):
    """Numbers of reviews of one arm."""

    model_config = ConfigDict(frozen=True)

    answered: NonNegativeInt = Field(description="Reviews that the arm answered.")
    labelled: NonNegativeInt = Field(description="Answered reviews whose true label is known.")
    right: NonNegativeInt = Field(description="Labelled reviews that were answered correctly.")

    @model_validator(mode="after")
    def _nested(self) -> ArmCounts:
        if not self.right <= self.labelled <= self.answered:
            raise ValueError("right, labelled and answered must not descend")
        return self


class PairedCounts(BaseModel):
    """Numbers of labelled reviews that the champion answered and the challenger scored in shadow mode."""

    model_config = ConfigDict(frozen=True)

    both: NonNegativeInt = Field(description="Rows that both predicted correctly.")
    champion: NonNegativeInt = Field(description="Rows that only the champion predicted correctly.")
    challenger: NonNegativeInt = Field(description="Rows that only the challenger predicted correctly.")
    neither: NonNegativeInt = 0

    @property
    def rows(self) -> int:
        """All labelled reviews."""
        return self.both + self.champion + self.challenger + self.neither


class Verdict(BaseModel):
    """The result of a comparison, with its checks and figures."""

    model_config = ConfigDict(frozen=True)

    conclusion: Conclusion
    checks: list[Check]
    difference: float | None = Field(description="Accuracy of the challenger minus the champion's; None without rows.")
    interval: tuple[float, float] = Field(
        description="Confidence interval of the difference at level 1 - significance; anytime-valid."
    )
    p_value: float = Field(description="p-value of no difference; anytime-valid.")

    @property
    def reasons(self) -> list[str]:
        """The messages of the checks that invalidate the comparison; if there are none, those of its result."""
        invalid = [check.message for check in self.checks if not check.decisive and not check.passed]
        return invalid or [check.message for check in self.checks if check.decisive]


def compare(champion: ArmCounts, challenger: ArmCounts, share: float, policy: Policy) -> Verdict:
    """The verdict on an A/B experiment in which the challenger got `share` of the reviews.

    Raises ConfigurationError for a share that leaves one arm without any.
    """
    _check_share(share)
    ratios = [
        sample_ratio("exposures", champion.answered, challenger.answered, share, policy),
        sample_ratio("labels", champion.labelled, challenger.labelled, share, policy),
    ]
    counts = [
        challenger.right,
        challenger.labelled - challenger.right,
        champion.right,
        champion.labelled - champion.right,
    ]
    known = champion.labelled and challenger.labelled
    difference = challenger.right / challenger.labelled - champion.right / champion.labelled if known else None
    return _verdict(ratios, BettingTest.for_arms(share), counts, difference, policy)


def compare_shadow(counts: PairedCounts, policy: Policy) -> Verdict:
    """The verdict on shadow mode, where both arms predict the same reviews, so that no ratio is checked."""
    difference = (counts.challenger - counts.champion) / counts.rows if counts.rows else None
    cells = [counts.challenger, counts.champion, counts.both + counts.neither]
    return _verdict([], BettingTest.for_pairs(), cells, difference, policy)


def sample_ratio(name: str, champion: int, challenger: int, share: float, policy: Policy) -> Check:
    """Sample-ratio check: whether the numbers of rows agree with the share. If not, no comparison is valid.

    The sequential test of Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), for
    two cells: the likelihood under a Beta prior around the share against the likelihood of the share, at level
    `ratio_significance` at any number of rows. Raises ConfigurationError for a share that leaves one arm without rows.
    """
    _check_share(share)
    alpha, beta = PRIOR_ROWS * share, PRIOR_ROWS * (1 - share)
    evidence = _log_beta(alpha + challenger, beta + champion) - _log_beta(alpha, beta)
    evidence -= challenger * log(share) + champion * log1p(-share)
    p_value = _p_value(evidence)
    passed = p_value > policy.ratio_significance
    rows = champion + challenger
    found = f"{challenger / rows:.4f} of {rows}" if rows else "none"
    relation = "agrees with" if passed else "does not agree with"
    message = f"{name}: the challenger's part, {found}, {relation} its share {share:g}, anytime-valid p = {p_value:.2g}"
    return Check(name=f"sample ratio of {name}", passed=passed, message=message)


def _verdict(
    ratios: list[Check], test: BettingTest, cells: list[int], difference: float | None, policy: Policy
) -> Verdict:
    interval = test.interval(cells, policy.significance)
    p_value = _p_value(float(test.log_capital(cells)))
    low, high = interval
    shown = "unknown" if difference is None else f"{difference:+.4f}"
    figures = f"{shown} [{low:+.4f}, {high:+.4f}] in accuracy, anytime-valid p = {p_value:.2g}"
    if low > 0:
        conclusion, message = "challenger is better", f"the challenger is better beyond chance: {figures}"
    elif high < 0:
        conclusion, message = "champion is better", f"the champion is better beyond chance: {figures}"
    elif -policy.margin < low and high < policy.margin:
        conclusion, message = "alike", f"no difference of {policy.margin:g} or more: {figures}"
    else:
        conclusion, message = "not known yet", f"a difference is neither shown nor ruled out: {figures}"
    found = Check(name="difference", passed=conclusion != "not known yet", message=message, decisive=True)
    return Verdict(
        conclusion=conclusion if all(check.passed for check in ratios) else "not comparable",
        checks=[*ratios, found],
        difference=difference,
        interval=interval,
        p_value=p_value,
    )


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ConfigurationError(f"With a share of {share:g} only one arm answers. Choose one between 0 and 1.")


def _p_value(log_capital: float) -> float:
    return min(1.0, exp(-log_capital)) if log_capital > 0 else 1.0


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)
