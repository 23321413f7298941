"""Promote or keep? A pure function from evidence and policy to a verdict with reasons; no clock, no chance, no storage.

The evidence is small, because all it needs is counts: how often champion and challenger were right together, alone,
or not at all. McNemar's test and the bootstrap both depend on the test set only through that table, so a verdict can
be replayed from the ledger alone.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

EVIDENCE = "evidence.json"
"""The output of `evaluate` that `promote` reads."""

Table = list[list[list[int]]]
"""Counts by [label][champion's answer][challenger's answer], each 0 or 1: shape (2, 2, 2)."""


class Policy(BaseModel):
    """The thresholds of the gate. Versioned code, so that a change is a reviewed commit."""

    model_config = ConfigDict(frozen=True)

    significance: float = 0.05
    resamples: int = 10_000
    floor: float = Field(0.70, description="Macro-F1 on the test set that any champion has; 0.5 is a coin.")
    slice_margin: float = Field(
        0.02, description="Macro-F1 that no slice may lose against the champion, beyond chance."
    )
    slice_rows: int = Field(200, description="Smaller slices say more about chance than about the model.")
    calibration: float = Field(0.04, description="Largest calibration error on the test set, beyond chance.")
    leak_margin: float = Field(0.05, description="Accuracy on the test set above validation that hints at a leak.")


class Evidence(BaseModel):
    """What was measured about a challenger, on one test set, beside the champion of that moment."""

    model_config = ConfigDict(frozen=True)

    window: str
    candidate: str
    version: int | None = Field(description="Model version of the challenger; None if it could not be registered.")
    model_digest: str
    champion_epoch: int
    champion_version: int | None
    test_digest: str = Field(description="Which test set; both were scored on it in the same job.")
    outcomes: Table = Field(
        description="On the whole test set. Without a champion its answers repeat the challenger's."
    )
    slices: dict[str, Table] = {}
    metrics: dict[str, float] = Field(default={}, description="Of the challenger on the test set.")
    champion_metrics: dict[str, float] = {}
    validation: dict[str, float] = Field(default={}, description="Of the challenger on its validation part.")
    validation_rows: int = 0
    compared: dict[str, float] = Field(default={}, description="Validation macro-F1 of each candidate of this week.")
    artifact_problem: str = Field("", description="Why the artifact does not load or answer in a fresh process.")
    lineage_problem: str = Field("", description="Why its training data are not batches 0..k alone.")


class Check(BaseModel):
    """One question of the gate and its answer."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    says: str
    decisive: bool = Field(False, description="Passing it is why a challenger is promoted, not just what it needs.")


class Verdict(BaseModel):
    """Promote or keep, with every check and the figures they rest on."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    checks: list[Check]
    f1_difference: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)
    p_value: float = 1.0

    @property
    def reasons(self) -> list[str]:
        """Why: for a promotion what decided it, otherwise all that failed."""
        return [check.says for check in self.checks if (check.decisive if self.promote else not check.passed)]


def decide(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict on one challenger. Checks that need scores are left out where the artifact gave none."""
    checks = [_artifact(evidence), _lineage(evidence)]
    if evidence.artifact_problem:
        return Verdict(promote=False, checks=checks)
    checks += [_floor(evidence, policy), _leak(evidence, policy), _calibration(evidence, policy)]
    if evidence.champion_version is None:
        checks.append(Check(name="champion", passed=True, says="there is no champion yet", decisive=True))
        return Verdict(promote=all(check.passed for check in checks), checks=checks)
    table = np.array(evidence.outcomes)
    difference = macro_f1(table, champion=False) - macro_f1(table, champion=True)
    interval, p_value = bootstrap(table, policy), mcnemar(table)
    checks += [
        _improvement(difference, interval, p_value, policy),
        *(_slice(name, np.array(counts), policy) for name, counts in sorted(evidence.slices.items())),
    ]
    return Verdict(
        promote=all(check.passed for check in checks),
        checks=checks,
        f1_difference=difference,
        interval=interval,
        p_value=p_value,
    )


def _artifact(evidence: Evidence) -> Check:
    problem = evidence.artifact_problem
    says = problem or "the artifact loads and answers in a fresh process"
    return Check(name="artifact", passed=not problem, says=says)


def _lineage(evidence: Evidence) -> Check:
    problem = evidence.lineage_problem
    says = problem or f"it was trained on batches {evidence.window} and on no test review"
    return Check(name="lineage", passed=not problem, says=says)


def _floor(evidence: Evidence, policy: Policy) -> Check:
    found = evidence.metrics["macro_f1"]
    word = "above" if found >= policy.floor else "below"
    return Check(
        name="floor", passed=found >= policy.floor, says=f"macro-F1 {found:.4f} is {word} the floor {policy.floor}"
    )


def _leak(evidence: Evidence, policy: Policy) -> Check:
    """A model that knows the test set is much better there than on its own validation part, beyond chance (3 sigma).

    So is every honest model where the test set is simply the easier one, as after drift. There an honest champion is
    better, too; hence, where there is one, only a challenger that is far above the champion as well is suspected.
    """
    tested, validated = evidence.metrics["accuracy"], evidence.validation["accuracy"]
    rows = int(np.sum(evidence.outcomes))
    sigma = float(np.sqrt(validated * (1 - validated) * (1 / rows + 1 / max(evidence.validation_rows, 1))))
    far_above = tested - validated > max(policy.leak_margin, 3 * sigma)
    alone = tested - evidence.champion_metrics.get("accuracy", 0.0) > policy.leak_margin  # always, without a champion
    says = f"accuracy on the test set, {tested:.4f}, is "
    if not far_above:
        says += f"in line with validation, {validated:.4f}"
    elif not alone:
        says += f"far above validation, {validated:.4f}, but so near the champion's that the test set seems easier"
    else:
        says += f"far above validation, {validated:.4f}: it seems to have seen the test set"
    return Check(name="leak", passed=not (far_above and alone), says=says)


def _calibration(evidence: Evidence, policy: Policy) -> Check:
    """The limit allows for chance: n rows in 15 bins leave even a perfect model a gap of up to 0.4 sqrt(15 / n)."""
    found, rows = evidence.metrics["ece"], int(np.sum(evidence.outcomes))
    limit = policy.calibration + 0.4 * float(np.sqrt(15 / rows))
    word = "within" if found <= limit else "over"
    return Check(name="calibration", passed=found <= limit, says=f"calibration error {found:.4f} is {word} {limit:.4f}")


def _improvement(difference: float, interval: tuple[float, float], p_value: float, policy: Policy) -> Check:
    passed = interval[0] > 0 and p_value <= policy.significance
    word = "an improvement beyond chance" if passed else "no improvement beyond chance"
    says = f"{word}: macro-F1 {difference:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}], McNemar p = {p_value:.2g}"
    return Check(name="improvement", passed=passed, says=says, decisive=True)


def _slice(name: str, table: np.ndarray, policy: Policy) -> Check:
    """Refused is a loss over the margin that chance does not explain: bootstrapped, it is one at best, too.

    The bound is one-sided, because only a loss is asked about; of a few hundred rows it refuses more than a two-sided.
    """
    rows = int(table.sum())
    if rows < policy.slice_rows:
        return Check(name=f"slice {name}", passed=True, says=f"slice {name} has only {rows} rows and is not judged")
    difference = macro_f1(table, champion=False) - macro_f1(table, champion=True)
    _, best = bootstrap(table, policy, tails=1)
    passed = difference >= -policy.slice_margin or best >= 0
    word = "holds" if passed else f"loses more than {policy.slice_margin} beyond chance"
    says = f"slice {name} {word}: macro-F1 {difference:+.4f}, at best {best:+.4f}"
    return Check(name=f"slice {name}", passed=passed, says=says)


def macro_f1(table: np.ndarray, *, champion: bool) -> float | np.ndarray:
    """Macro-F1 of one of the two, from tables of shape (..., 2, 2, 2); a label that never occurs counts as 0."""
    confusion = table.sum(axis=-1 if champion else -2)
    right = np.stack([confusion[..., 0, 0], confusion[..., 1, 1]], axis=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    scores = np.divide(2.0 * right, total, out=np.zeros(right.shape), where=total > 0).mean(axis=-1)
    return float(scores) if scores.ndim == 0 else scores


def mcnemar(table: np.ndarray) -> float:
    """Two-sided p-value of McNemar's exact test (1947) on the reviews that exactly one of the two got right."""
    only_champion = int(table[0, 0, 1] + table[1, 1, 0])
    only_challenger = int(table[0, 1, 0] + table[1, 0, 1])
    discordant = only_champion + only_challenger
    ways, tail = 1, 0  # in which that many of the discordant ones fall to a side; and that many or fewer
    for fallen in range(min(only_champion, only_challenger) + 1):
        tail += ways
        ways = ways * (discordant - fallen) // (fallen + 1)
    return min(1.0, 2 * tail / 2**discordant)  # whole numbers up to here: the same on every machine


def bootstrap(table: np.ndarray, policy: Policy, *, tails: int = 2) -> tuple[float, float]:
    """Paired percentile bootstrap interval of the macro-F1 difference (Efron 1979), level 1 - significance.

    With one tail, each of the two limits is of that level by itself.

    Resampling reviews is drawing the eight cells from a multinomial, which costs nothing. The seed is fixed; NumPy
    does not promise its stream for ever, so under another version the limits may differ in their last digits.
    """
    rows = int(table.sum())
    drawn = np.random.default_rng(0).multinomial(rows, table.ravel() / rows, size=policy.resamples).reshape(-1, 2, 2, 2)
    differences = macro_f1(drawn, champion=False) - macro_f1(drawn, champion=True)
    low, high = np.quantile(differences, [policy.significance / tails, 1 - policy.significance / tails])
    return float(low), float(high)
