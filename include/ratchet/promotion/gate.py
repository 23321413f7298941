"""Promote or keep? A pure function from evidence and policy to a verdict with reasons; no clock, no chance, no storage.

The evidence is small, because all it needs is counts: how often champion and challenger were right together, alone,
or not at all. McNemar's test and the bootstrap both depend on the test set only through that table, so a verdict can
be replayed from the ledger alone. The messages of the checks are part of what is replayed: changing one breaks the
replay of older decisions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ratchet.ledger.decision import Check, Evidence, GatePolicy, Verdict
from ratchet.model.metrics import macro_f1

EVIDENCE = "evidence.json"
"""The output of `evaluate` that `promote` reads."""

Array = np.ndarray[Any, Any]


def decide(evidence: Evidence, policy: GatePolicy) -> Verdict:
    """The verdict on one challenger. Without scores, because the artifact does not load, their checks are left out."""
    checks = [_artifact(evidence), _lineage(evidence)]
    if evidence.artifact_problem:
        return Verdict(promote=False, checks=checks)
    checks += [_floor(evidence, policy), _leak(evidence, policy), _calibration(evidence, policy)]
    if evidence.champion_version is None:
        checks.append(Check(name="champion", passed=True, message="there is no champion yet", decisive=True))
        return Verdict(promote=all(check.passed for check in checks), checks=checks)
    table = np.array(evidence.outcomes)
    difference = float(macro_f1(table, champion=False) - macro_f1(table, champion=True))
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
    message = problem or "the artifact loads and answers in a fresh process"
    return Check(name="artifact", passed=not problem, message=message)


def _lineage(evidence: Evidence) -> Check:
    problem = evidence.lineage_problem
    message = problem or f"it was trained on batches {evidence.window} and on no test review"
    return Check(name="lineage", passed=not problem, message=message)


def _floor(evidence: Evidence, policy: GatePolicy) -> Check:
    found = evidence.metrics["macro_f1"]
    word = "above" if found >= policy.floor else "below"
    return Check(
        name="floor", passed=found >= policy.floor, message=f"macro-F1 {found:.4f} is {word} the floor {policy.floor}"
    )


def _leak(evidence: Evidence, policy: GatePolicy) -> Check:
    """Fails if accuracy on the test set exceeds validation by more than the margin and more than 3 sigma.

    A model that was trained on test reviews shows that, but so does any model if the test set is the easier one, as
    after drift. A champion is then better on it, too; so with a champion the check fails only if the challenger also
    exceeds the champion's accuracy by more than the margin.
    """
    tested, validated = evidence.metrics["accuracy"], evidence.validation["accuracy"]
    rows = int(np.sum(evidence.outcomes))
    sigma = float(np.sqrt(validated * (1 - validated) * (1 / rows + 1 / max(evidence.validation_rows, 1))))
    far_above = tested - validated > max(policy.leak_margin, 3 * sigma)
    alone = tested - evidence.champion_metrics.get("accuracy", 0.0) > policy.leak_margin  # true without a champion
    message = f"accuracy on the test set, {tested:.4f}, is "
    if not far_above:
        message += f"in line with validation, {validated:.4f}"
    elif not alone:
        message += f"far above validation, {validated:.4f}, but so near the champion's that the test set seems easier"
    else:
        message += f"far above validation, {validated:.4f}: it seems to have seen the test set"
    return Check(name="leak", passed=not (far_above and alone), message=message)


def _calibration(evidence: Evidence, policy: GatePolicy) -> Check:
    """The limit allows for chance: n rows in 15 bins leave even a perfect model a gap of up to 0.4 sqrt(15 / n)."""
    found, rows = evidence.metrics["ece"], int(np.sum(evidence.outcomes))
    limit = policy.calibration + 0.4 * float(np.sqrt(15 / rows))
    word = "within" if found <= limit else "over"
    message = f"calibration error {found:.4f} is {word} {limit:.4f}"
    return Check(name="calibration", passed=found <= limit, message=message)


def _improvement(difference: float, interval: tuple[float, float], p_value: float, policy: GatePolicy) -> Check:
    passed = interval[0] > 0 and p_value <= policy.significance
    word = "an improvement beyond chance" if passed else "no improvement beyond chance"
    message = f"{word}: macro-F1 {difference:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}], McNemar p = {p_value:.2g}"
    return Check(name="improvement", passed=passed, message=message, decisive=True)


def _slice(name: str, table: Array, policy: GatePolicy) -> Check:
    """Fails if the loss exceeds the margin and the upper bootstrap bound of the difference is below 0.

    The bound is one-sided, because only a loss matters; on a few hundred rows it refuses more losses than a two-sided
    bound.
    """
    rows = int(table.sum())
    if rows < policy.slice_rows:
        return Check(name=f"slice {name}", passed=True, message=f"slice {name} has only {rows} rows and is not judged")
    difference = float(macro_f1(table, champion=False) - macro_f1(table, champion=True))
    _, best = bootstrap(table, policy, tails=1)
    passed = difference >= -policy.slice_margin or best >= 0
    word = "holds" if passed else f"loses more than {policy.slice_margin} beyond chance"
    message = f"slice {name} {word}: macro-F1 {difference:+.4f}, at best {best:+.4f}"
    return Check(name=f"slice {name}", passed=passed, message=message)


def mcnemar(table: Array) -> float:
    """Two-sided p-value of McNemar's exact test (1947) on the reviews that exactly one of the models got right.

    `table` has the shape (2, 2, 2), as in `Evidence.outcomes`.
    """
    only_champion = int(table[0, 0, 1] + table[1, 1, 0])
    only_challenger = int(table[0, 1, 0] + table[1, 0, 1])
    discordant = only_champion + only_challenger
    ways, tail = 1, 0  # binomial coefficient (discordant over k), and the sum of those up to k
    for k in range(min(only_champion, only_challenger) + 1):
        tail += ways
        ways = ways * (discordant - k) // (k + 1)
    return min(1.0, float(2 * tail / 2**discordant))  # integers up to here: the result is the same on every machine


def bootstrap(table: Array, policy: GatePolicy, *, tails: int = 2) -> tuple[float, float]:
    """Paired percentile bootstrap interval of the macro-F1 difference (Efron 1979), level 1 - significance.

    `table` has the shape (2, 2, 2). With `tails=1`, each limit by itself is a one-sided bound of that level.

    Resampling reviews is equivalent to drawing the eight cells from a multinomial, which is cheap. The seed is fixed;
    NumPy does not guarantee its stream across versions, so under another one the limits may differ in their last
    digits.
    """
    rows = int(table.sum())
    drawn = np.random.default_rng(0).multinomial(rows, table.ravel() / rows, size=policy.resamples).reshape(-1, 2, 2, 2)
    differences = macro_f1(drawn, champion=False) - macro_f1(drawn, champion=True)
    low, high = np.quantile(differences, [policy.significance / tails, 1 - policy.significance / tails])
    return float(low), float(high)
