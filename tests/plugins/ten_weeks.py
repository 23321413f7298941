"""Nine weeks of retraining and a rollback, written into a ledger with the gate's own verdicts."""

from __future__ import annotations

from ratchet.ledger.decision import Decision, Evidence, GatePolicy, GateRecord, Verdict
from ratchet.ledger.store import Ledger
from ratchet.promotion.gate import decide

ROWS = 4000
RIGHT = (3316, 3420, 3438, 3502, 3495, 3561, 3570, 3421, 3642)
"""Of 4000 test reviews, how many each week's challenger has right."""


def write_ten_weeks(ledger: Ledger) -> None:
    """Weeks 0 to 8; after week 6 a person rolls back to the previous champion."""
    right: dict[int | None, int] = {}
    for week, found in enumerate(RIGHT):
        champion = ledger.champion()
        right[week + 1] = found
        evidence = measured(week, found, champion.epoch, champion.version, right.get(champion.version))
        verdict = decide(evidence, GatePolicy())
        ledger.record(decided(evidence, verdict), champion)
        if week == 6:
            champion = ledger.champion()
            ledger.record(
                Decision(
                    subject=f"rollback/{champion.epoch}", action="rollback", version=4, previous=champion.version,
                    reasons=[f"rolled back from version {champion.version} by hand"], decided_by="maria",
                    code_version="3f2c1ab",
                ),
                champion,
            )  # fmt: skip


def measured(week: int, found: int, epoch: int, champion: int | None, before: int | None) -> Evidence:
    """A challenger with `found` correct predictions beside a champion with `before`, half of each label."""
    before = found if before is None else before
    table = outcomes(ROWS, found, before)
    quarter = outcomes(ROWS // 4, found // 4, before // 4)
    return Evidence(
        window=f"0-{week}", candidate="logistic-regression" if week % 3 else "linear-svc", version=week + 1,
        model_digest=f"{week:064x}", champion_epoch=epoch, champion_version=champion, test_digest="7" * 64,
        outcomes=table, validation={"accuracy": found / ROWS, "macro_f1": found / ROWS}, validation_rows=2000,
        slices=dict.fromkeys(("with title", "without title", "length quartile 1"), quarter) if champion else {},
        metrics={"macro_f1": found / ROWS, "accuracy": found / ROWS, "ece": 0.012 if week != 4 else 0.09},
        champion_metrics={"macro_f1": before / ROWS, "accuracy": before / ROWS} if champion else {},
    )  # fmt: skip


def outcomes(rows: int, challenger: int, champion: int) -> list[list[list[int]]]:
    """Counts by [label][champion's prediction][challenger's prediction] of two models that mostly agree."""
    both = min(challenger, champion) - rows // 50
    cells = {(1, 1): both, (0, 1): challenger - both, (1, 0): champion - both}
    cells[0, 0] = rows - sum(cells.values())
    table = [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    for (champion_right, challenger_right), count in cells.items():
        for label in (0, 1):
            predicted = label if champion_right else 1 - label, label if challenger_right else 1 - label
            table[label][predicted[0]][predicted[1]] = count // 2
    return table


def decided(evidence: Evidence, verdict: Verdict) -> Decision:
    """The decision that `ratchet promote` would record."""
    return Decision(
        subject=f"{evidence.window}/{evidence.model_digest[-16:]}",
        action="promote" if verdict.promote else "keep",
        version=evidence.version,
        previous=evidence.champion_version,
        window=evidence.window,
        candidate=evidence.candidate,
        reasons=verdict.reasons,
        gate=GateRecord(evidence=evidence, policy=GatePolicy(), verdict=verdict),
        dag_run="scheduled__2026-01-12T00:00:00+00:00",
        code_version="3f2c1ab",
    )
