"""Which of two arms is right more often? Pure functions from counts to a verdict with reasons; no clock, no storage.

People look at a running experiment whenever they like and stop when they like what they see. A test of fixed size is
wrong far more often than it says under such use; these are not, however often and whenever anybody looks: see betting.

What is assumed: each row's arm was drawn by itself with the configured share, and whether its label becomes known does
not depend on the arm. Accuracy may drift, for both alike. Rows of one `unit` have one arm between them, so they are one
draw: where many rows share one, count one of each unit.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from ratchet.errors import ConfigurationError
from ratchet.experiments.sequential_test import Bets
from ratchet.ledger.decision import Check

BELIEF = 100.0
"""How many rows the sample-ratio check's prior is worth: deviations of some hundredths are what bugs cause."""

Conclusion = Literal["challenger is better", "champion is better", "alike", "not known yet", "not comparable"]


class Policy(BaseModel):
    """The thresholds. Versioned code, so that a change is a reviewed commit."""

    model_config = ConfigDict(frozen=True)

    significance: float = Field(0.05, description="Chance of ever seeing a difference where there is none.")
    ratio_significance: float = Field(
        0.001, description="The same, of ever refusing a sound experiment; of exposures and labels each."
    )
    margin: float = Field(0.01, description="A difference in accuracy that nobody would change the champion for.")


class Seen(BaseModel):
    """What is known about one arm."""

    model_config = ConfigDict(frozen=True)

    answered: NonNegativeInt = Field(description="Reviews that this arm answered.")
    labelled: NonNegativeInt = Field(description="Those of them whose true label became known.")
    right: NonNegativeInt = Field(description="Those of them that were answered right.")

    @model_validator(mode="after")
    def _nested(self) -> Seen:
        if not self.right <= self.labelled <= self.answered:
            raise ValueError("right, labelled and answered must not descend")
        return self


class Shadowed(BaseModel):
    """Reviews with a true label that the champion answered and the challenger read in shadow mode."""

    model_config = ConfigDict(frozen=True)

    both: NonNegativeInt = Field(description="Both right.")
    champion: NonNegativeInt = Field(description="The champion alone right.")
    challenger: NonNegativeInt = Field(description="The challenger alone right.")
    neither: NonNegativeInt = 0

    @property
    def rows(self) -> int:
        return self.both + self.champion + self.challenger + self.neither


class Verdict(BaseModel):
    """What the counts say by now, with every check and the figures they rest on."""

    model_config = ConfigDict(frozen=True)

    conclusion: Conclusion
    checks: list[Check]
    difference: float | None = Field(description="Accuracy of the challenger minus the champion's; None without rows.")
    interval: tuple[float, float] = Field(description="Of the difference, at level 1 - significance, at every look.")
    p_value: float = Field(description="Of no difference; valid at every look.")

    @property
    def reasons(self) -> list[str]:
        """Why: what spoils the comparison, or else what it shows."""
        spoilt = [check.message for check in self.checks if not check.decisive and not check.passed]
        return spoilt or [check.message for check in self.checks if check.decisive]


def compare(champion: Seen, challenger: Seen, share: float, policy: Policy) -> Verdict:
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
    shown = bool(champion.labelled and challenger.labelled)
    difference = challenger.right / challenger.labelled - champion.right / champion.labelled if shown else None
    return _verdict(ratios, Bets.of_arms(share), counts, difference, policy)


def compare_shadow(seen: Shadowed, policy: Policy) -> Verdict:
    """The verdict on shadow mode, where both arms read the same reviews. Nothing was drawn, so no ratio is checked."""
    difference = (seen.challenger - seen.champion) / seen.rows if seen.rows else None
    counts = [seen.challenger, seen.champion, seen.both + seen.neither]
    return _verdict([], Bets.of_pairs(), counts, difference, policy)


def sample_ratio(name: str, champion: int, challenger: int, share: float, policy: Policy) -> Check:
    """Whether the arms have as many rows as the share says; if not, something favours one, and no comparison holds.

    The sequential test of Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), for
    two cells: the likelihood under a Beta prior around the share against the likelihood of the share, at level
    `ratio_significance` at every look. Raises ConfigurationError for a share that leaves one arm without any row.
    """
    _check_share(share)
    ahead, behind = BELIEF * share, BELIEF * (1 - share)
    evidence = _log_beta(ahead + challenger, behind + champion) - _log_beta(ahead, behind)
    evidence -= challenger * log(share) + champion * log1p(-share)
    p_value = _p_value(evidence)
    passed = p_value > policy.ratio_significance
    rows = champion + challenger
    found = f"{challenger / rows:.4f} of {rows}" if rows else "none"
    word = "agree with" if passed else "do not agree with"
    says = f"{name}: the challenger's, {found}, {word} its share {share:g}, p = {p_value:.2g} at every look"
    return Check(name=f"sample ratio of {name}", passed=passed, message=says)


def _verdict(ratios: list[Check], bets: Bets, counts: list[int], difference: float | None, policy: Policy) -> Verdict:
    interval = bets.interval(counts, policy.significance)
    p_value = _p_value(float(bets.log_capital(counts)))
    low, high = interval
    shown = "unknown" if difference is None else f"{difference:+.4f}"
    figures = f"{shown} [{low:+.4f}, {high:+.4f}] in accuracy, p = {p_value:.2g} at every look"
    if low > 0:
        conclusion, says = "challenger is better", f"the challenger is better beyond chance: {figures}"
    elif high < 0:
        conclusion, says = "champion is better", f"the champion is better beyond chance: {figures}"
    elif -policy.margin < low and high < policy.margin:
        conclusion, says = "alike", f"no difference of {policy.margin:g} or more: {figures}"
    else:
        conclusion, says = "not known yet", f"a difference is neither shown nor ruled out: {figures}"
    found = Check(name="difference", passed=conclusion != "not known yet", message=says, decisive=True)
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
