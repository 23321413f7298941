"""The gate as a pure function: each check trips and passes, and the statistics are what textbooks say."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ratchet.ledger.decision import Check, Evidence, GatePolicy, Verdict
from ratchet.model.metrics import macro_f1
from ratchet.promotion.gate import bootstrap, decide, mcnemar

POLICY = GatePolicy()
BETTER = [[[80, 20], [60, 340]], [[340, 60], [20, 80]]]
"""1,000 reviews by [label][champion][challenger]: the challenger alone gets 120 right, the champion alone 40."""
SAME = [[[420, 0], [0, 80]], [[80, 0], [0, 420]]]


def table(both: int, champion: int, challenger: int, neither: int) -> list[list[list[int]]]:
    """Outcomes that are alike for both labels: how many each got right."""
    return [[[both, champion], [challenger, neither]], [[neither, challenger], [champion, both]]]


GOOD = table(both=370, champion=20, challenger=60, neither=50)


def evidence(**changes: Any) -> Evidence:
    """Evidence of a challenger that is clearly better than the champion and passes every check, but for the changes."""
    good: dict[str, Any] = {
        "window": "0-1", "candidate": "linear-svc", "version": 2, "model_digest": "m", "champion_epoch": 1,
        "champion_version": 1, "test_digest": "t", "outcomes": GOOD, "slices": {"with title": GOOD},
        "metrics": {"macro_f1": 0.86, "accuracy": 0.86, "ece": 0.02},
        "champion_metrics": {"macro_f1": 0.78, "accuracy": 0.78},
        "validation": {"accuracy": 0.85}, "validation_rows": 500,
    }  # fmt: skip
    return Evidence(**{**good, **changes})


def check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def test_a_better_challenger_is_promoted_because_it_is_better() -> None:
    """Every check passes; the reason is the one that decides, not the twelve that are merely needed."""
    verdict = decide(evidence(), POLICY)
    assert verdict.promote
    assert verdict.reasons == [check(verdict, "improvement").message]
    assert all(check.passed for check in verdict.checks)
    assert {check.name for check in verdict.checks} == {
        "artifact", "lineage", "floor", "leak", "calibration", "improvement", "slice with title",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("artifact", {"artifact_problem": "it does not load"}, "it does not load"),
        ("lineage", {"lineage_problem": "3 test reviews are also in batch_00"}, "3 test reviews"),
        ("floor", {"metrics": {"macro_f1": 0.69, "accuracy": 0.7, "ece": 0.0}}, "below the floor"),
        ("leak", {"metrics": {"macro_f1": 0.97, "accuracy": 0.97, "ece": 0.02}}, "seen the test set"),
        ("calibration", {"metrics": {"macro_f1": 0.86, "accuracy": 0.86, "ece": 0.2}}, "is over"),
        ("improvement", {"outcomes": table(400, 40, 41, 19)}, "no improvement beyond chance"),
        ("improvement", {"outcomes": table(370, 60, 20, 50)}, "no improvement beyond chance"),
        ("slice with title", {"slices": {"with title": table(70, 20, 5, 5)}}, "loses more than 0.02 beyond chance"),
    ],
)
def test_each_check_alone_keeps_the_champion(name: str, changes: dict[str, Any], message: str) -> None:
    """One failed check is enough to keep the challenger back, and is the only reason."""
    verdict = decide(evidence(**changes), POLICY)
    assert not verdict.promote
    assert verdict.reasons == [check(verdict, name).message]
    assert message in verdict.reasons[0]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("floor", {"metrics": {"macro_f1": 0.70, "accuracy": 0.86, "ece": 0.02}}),
        (
            "calibration",
            {"metrics": {"macro_f1": 0.86, "accuracy": 0.86, "ece": 0.04 + 0.4 * (15 / np.sum(GOOD)) ** 0.5}},
        ),
        ("leak", {"validation": {"accuracy": 0.81}}),
        ("slice with title", {"slices": {"with title": table(78, 11, 10, 1)}}),
        ("slice small", {"slices": {"small": table(10, 80, 5, 4)}}),
    ],
)
def test_the_edge_of_each_threshold_passes(name: str, changes: dict[str, Any]) -> None:
    """Exactly the floor, the largest calibration error, a loss inside the margin, and 198 rows pass."""
    verdict = decide(evidence(**changes), POLICY)
    assert check(verdict, name).passed
    assert verdict.promote


def test_chance_alone_is_no_leak() -> None:
    """Ten points above a validation part of 60 rows lie within three sigma."""
    verdict = decide(evidence(validation={"accuracy": 0.76}, validation_rows=60), POLICY)
    assert check(verdict, "leak").passed
    assert not check(decide(evidence(validation={"accuracy": 0.76}, validation_rows=6000), POLICY), "leak").passed


@pytest.mark.parametrize(
    ("champion", "passed", "message"),
    [(0.86, True, "the test set seems easier"), (0.85, True, "seems easier"), (0.80, False, "seen the test set")],
)
def test_far_above_validation_is_a_leak_only_if_the_champion_is_not(
    champion: float, passed: bool, message: str
) -> None:
    """Ten points above validation: so is any honest model on an easier test set, but a leaky one is alone up there."""
    changes = {"champion_metrics": {"macro_f1": champion, "accuracy": champion}, "validation": {"accuracy": 0.76}}
    verdict = decide(evidence(**changes, validation_rows=6000), POLICY)
    assert (check(verdict, "leak").passed, verdict.promote) == (passed, passed)
    assert message in check(verdict, "leak").message


def test_without_a_champion_far_above_validation_is_a_leak() -> None:
    """The first challenger has no champion beside it that could show that the test set is easier."""
    first: dict[str, Any] = {"champion_version": None, "champion_epoch": 0, "champion_metrics": {}, "slices": {}}
    verdict = decide(evidence(**first, validation={"accuracy": 0.76}, validation_rows=6000), POLICY)
    assert not verdict.promote
    assert "seen the test set" in verdict.reasons[0]


def test_a_slice_may_lose_by_chance_but_not_beyond() -> None:
    """Three points lost on 200 reviews, 34 of them in dispute, are chance; the same shares of 4,000 are not."""
    few = table(both=82, champion=10, challenger=7, neither=1)
    many = (20 * np.array(few)).tolist()
    assert decide(evidence(slices={"with title": few}), POLICY).promote
    verdict = decide(evidence(slices={"with title": many}), POLICY)
    assert not verdict.promote
    assert "loses more than 0.02 beyond chance: macro-F1 -0.0300" in verdict.reasons[0]


def test_a_broken_artifact_is_judged_without_figures() -> None:
    """A model that does not load has no scores, and its verdict needs none."""
    verdict = decide(evidence(artifact_problem="broken", metrics={}, validation={}), POLICY)
    assert [check.name for check in verdict.checks] == ["artifact", "lineage"]
    assert not verdict.promote


def test_the_first_champion_needs_every_other_check() -> None:
    """Without a champion nothing is compared; floor, leak, calibration and lineage hold."""
    first: dict[str, Any] = {"champion_version": None, "champion_epoch": 0, "slices": {}}
    assert decide(evidence(**first), POLICY).promote
    poor = {"macro_f1": 0.6, "accuracy": 0.6, "ece": 0.01}
    assert not decide(evidence(**first, metrics=poor), POLICY).promote


def test_the_verdict_is_pure_and_survives_json() -> None:
    """The same evidence gives the same verdict, also when both come back from the ledger's JSON."""
    for found in (evidence(), evidence(outcomes=SAME), evidence(artifact_problem="broken")):
        again = Evidence.model_validate_json(found.model_dump_json())
        policy = GatePolicy.model_validate_json(POLICY.model_dump_json())
        assert decide(found, POLICY) == decide(found, POLICY) == decide(again, policy)


def test_equal_models_are_no_improvement() -> None:
    """A challenger with the champion's predictions is no improvement: p is 1 and the interval is a point."""
    verdict = decide(evidence(outcomes=SAME), POLICY)
    assert (verdict.promote, verdict.p_value, verdict.interval, verdict.f1_difference) == (False, 1.0, (0.0, 0.0), 0.0)


@pytest.mark.parametrize(("champion", "challenger"), [(0, 0), (0, 5), (3, 9), (10, 10), (40, 12), (1, 0)])
def test_mcnemar_is_the_sum_of_binomial_tails(champion: int, challenger: int) -> None:
    """The p-value equals the sum over all outcomes no likelier than the one seen, counted by hand."""
    counts = np.array([[[7, champion], [challenger, 3]], [[0, 0], [0, 9]]])
    tosses = champion + challenger
    chances = [comb(tosses, heads) / 2**tosses for heads in range(tosses + 1)]
    expected = sum(chance for chance in chances if chance <= chances[challenger] * (1 + 1e-9))
    assert mcnemar(counts) == pytest.approx(expected)


def test_the_bootstrap_equals_resampling_rows() -> None:
    """Drawing eight cells from a multinomial gives the interval that drawing reviews one by one gives."""
    counts = np.array(BETTER)
    rng = np.random.default_rng(7)
    rows = np.repeat(np.indices((2, 2, 2)).reshape(3, 8).T, counts.ravel(), axis=0)
    differences = []
    for _ in range(1000):
        label, champion, challenger = rows[rng.integers(0, len(rows), len(rows))].T
        scores = [f1_score(label, predictions, average="macro") for predictions in (challenger, champion)]
        differences.append(scores[0] - scores[1])
    assert bootstrap(counts, POLICY) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.005)


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_scikit_learns(seed: int) -> None:
    """From the table of outcomes alone, macro-F1 of both models is what scikit-learn computes from all rows."""
    label, champion, challenger = np.random.default_rng(seed).integers(0, 2, (3, 50 * seed + 20))
    counts = np.zeros((2, 2, 2), dtype=int)
    np.add.at(counts, (label, champion, challenger), 1)
    assert macro_f1(counts, champion=True) == pytest.approx(f1_score(label, champion, average="macro"))
    assert macro_f1(counts, champion=False) == pytest.approx(f1_score(label, challenger, average="macro"))


def test_macro_f1_where_a_label_never_occurs() -> None:
    """A label that is neither true nor predicted counts as 0, and stacked tables give stacked scores."""
    counts = np.array([[[9, 0], [0, 1]], [[0, 0], [0, 0]]])
    assert macro_f1(counts, champion=True) == pytest.approx(2 * 9 / (2 * 9 + 1) / 2)
    stacked = macro_f1(np.stack([counts, np.array(BETTER)]), champion=True)
    assert stacked == pytest.approx([macro_f1(counts, champion=True), macro_f1(np.array(BETTER), champion=True)])
