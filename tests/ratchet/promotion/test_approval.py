"""A person's approval: the ledger has it with the name, it can keep a challenger back, and it never overrides the gate.

Real jobs on a real store, with MLflow and ledger in SQLite; Airflow only passes the approval on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from harness.jobs import BOTH, Bench
from ratchet.errors import ConfigurationError, LedgerError
from ratchet.jobs import keys
from ratchet.jobs.storage import sha256_of
from ratchet.ledger.decision import Decision
from ratchet.promotion.promote import replay
from ratchet.windows import Window

SOURCE = "synthetic:rows=3000&weeks=3&test_rows=1500&noise=0&drift_week=none&seed=1"
MONDAY, TUESDAY = "2026-01-12T10:00:00+00:00", "2026-01-13T09:30:00+00:00"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store in which version 1 is champion and the gate would promote version 2, the challenger of 0-1."""
    bench = Bench(tmp_path_factory.mktemp("approval") / "store")
    bench.prepare(SOURCE, batches=3)
    bench.week("0-0", candidates=BOTH)
    bench.ratchet("train", "--window", "0-1")
    bench.ratchet("evaluate", "--window", "0-1")
    yield bench.store
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it


@pytest.fixture
def bench(evaluated: Path, tmp_path: Path) -> Bench:
    """A copy of that store; MLflow reads the models where they were first, because it keeps absolute paths."""
    return Bench(shutil.copytree(evaluated, tmp_path / "store"))


@pytest.fixture
def promoted(bench: Bench) -> Callable[..., Decision]:
    """Runs `ratchet promote` on 0-1, with or without an approval, and returns the decision in its manifest."""

    def promote(response: str = "", by: str = "", at: str = "", *flags: str) -> Decision:
        bench.ratchet("promote", "--window", "0-1", "--response", response, "--by", by, "--at", at, *flags)
        return bench.ledger.decision(bench.manifest(keys.decision(Window(1))).details["decision"])

    return promote


def serving(bench: Bench) -> int:
    """The champion, once ledger and alias agree."""
    champion = bench.ledger.champion().version
    assert bench.registry.aliases()["champion"] == champion
    return champion


def test_without_an_approval_the_gate_decides_alone(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """No approval was requested: empty arguments are no arguments."""
    decision = promoted()
    assert (decision.action, decision.approval, decision.decided_by) == ("promote", None, "the gate")
    assert bench.manifest(keys.decision(Window(1))).parameters == {"window": "0-1"}
    assert serving(bench) == 2


def test_an_approval_is_in_the_ledger_with_name_and_time(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """The gate's reasons stand, and who approved is one more."""
    decision = promoted("approve", "jane", MONDAY)
    assert decision.action == "promote"
    assert decision.approval is not None
    assert decision.approval.model_dump() == {"response": "approve", "by": "jane", "at": MONDAY}
    assert "an improvement beyond chance" in decision.reasons[0]
    assert decision.reasons[-1] == "approved by jane"
    assert serving(bench) == 2


def test_a_rejection_keeps_the_champion_and_the_verdict_is_stored(
    bench: Bench, promoted: Callable[..., Decision]
) -> None:
    """The gate would have promoted; the ledger has its verdict, and who rejected."""
    decision = promoted("reject", "jane", MONDAY)
    assert (decision.action, decision.reasons, decision.decided_by) == ("keep", ["rejected by jane"], "jane")
    assert decision.verdict is not None
    assert decision.verdict.promote is True
    assert serving(bench) == 1


def test_an_approval_does_not_override_the_gate(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A challenger that the gate refuses is kept back, approved or not."""
    prefix = keys.evaluation(Window(1))
    evidence = bench.evidence("0-1").model_copy(update={"lineage_problem": "it was trained on something else"})
    (bench.store / prefix / "evidence.json").write_text(evidence.model_dump_json())
    outputs = {"evidence.json": {"sha256": sha256_of(bench.store / prefix / "evidence.json"), "size": 9}}
    bench.rewrite(prefix, outputs=outputs)
    decision = promoted("approve", "jane", MONDAY)
    assert (decision.action, decision.decided_by) == ("keep", "the gate")
    assert decision.reasons == ["it was trained on something else", "approved by jane"]
    assert serving(bench) == 1


def test_an_approval_does_not_bring_back_what_was_rolled_back(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A rollback is a person's decision; only `ratchet rollback --to` reverts it."""
    promoted()
    bench.ratchet("rollback")
    bench.ratchet("evaluate", "--window", "0-1", "--force")
    decision = promoted("approve", "jane", MONDAY)
    assert decision.action == "keep"
    assert decision.reasons[0].startswith("version 2 was withdrawn in decision")
    assert serving(bench) == 1


def test_the_same_approval_again_is_the_same_decision(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A job that is tried again, even by force, adds no row."""
    first = promoted("approve", "jane", MONDAY)
    history = bench.ledger.history()
    assert promoted("approve", "jane", MONDAY) == first
    assert promoted("approve", "jane", MONDAY, "--force") == first
    assert bench.ledger.history() == history


def test_a_person_may_revoke_a_rejection(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """Requested again on a cleared run, an approval is a second decision, and both responses are in the ledger."""
    rejected = promoted("reject", "jane", MONDAY)
    approved = promoted("approve", "joe", TUESDAY)
    assert [row.approval and row.approval.by for row in bench.ledger.history()[-2:]] == ["jane", "joe"]
    assert (rejected.action, approved.action) == ("keep", "promote")
    assert serving(bench) == 2


def test_a_rejection_counts_where_no_approval_is_requested(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A later run without approval promotes no version that a person rejected."""
    rejected = promoted("reject", "jane", MONDAY)
    alone = promoted()
    assert (alone.action, alone.approval) == ("keep", None)
    assert alone.reasons == [f"version 2 was rejected in decision {rejected.id}"]
    assert serving(bench) == 1


def test_a_rejection_of_the_champion_fails_and_names_the_remedy(
    bench: Bench, promoted: Callable[..., Decision]
) -> None:
    """It is recorded, but the champion still serves, so the job fails."""
    promoted()
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"champion already.*rejected by jane.*ratchet rollback"):
            promoted("reject", "jane", TUESDAY)
    (row,) = [row for row in bench.ledger.history() if row.approval]
    assert (row.action, row.reasons) == ("keep", ["it already is the champion", "rejected by jane"])
    assert serving(bench) == 2


def test_every_decision_with_an_approval_replays_and_can_be_explained(
    bench: Bench, promoted: Callable[..., Decision]
) -> None:
    """The approval is part of what is replayed, and `history` and `explain` show it."""
    promoted("reject", "jane", MONDAY)
    promoted()
    promoted("approve", "joe", TUESDAY)
    with pytest.raises(LedgerError):
        promoted("reject", "jane", TUESDAY)
    for row in bench.ledger.history():
        bench.ratchet("replay", str(row.id))
    history, explained = bench.ratchet("history"), bench.ratchet("explain", "2")
    assert "rejected by" in history
    assert "rejected by jane, 2026-01-12T10:00:00 UTC" in explained
    assert "none requested" in explained


def test_a_changed_approval_does_not_replay(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A ledger in which an approval became a rejection does not replay."""
    row = promoted("approve", "jane", MONDAY)
    assert row.approval is not None
    forged = row.model_copy(update={"approval": row.approval.model_copy(update={"response": "reject"})})
    assert replay(row)[1]
    assert not replay(forged)[1]


def test_a_name_is_text_and_nothing_else(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A name is neither an option, nor markup, nor a second line, because names come from a user directory."""
    decision = promoted("reject", "--force [red]jane\n\x1b[2J" + "x" * 200, MONDAY)
    assert decision.approval is not None
    assert decision.approval.by.startswith("--force [red]jane [2Jxxx")
    assert len(decision.approval.by) == 100
    assert "--force [red]jane" in bench.ratchet("explain", "2")


@pytest.mark.parametrize(("response", "by"), [("maybe", "jane"), ("reject", ""), ("", "jane"), ("approve", " \n")])
def test_an_incomplete_approval_is_refused(
    bench: Bench, promoted: Callable[..., Decision], response: str, by: str
) -> None:
    """A job with an unclear response decides nothing."""
    before = bench.ledger.history()
    with pytest.raises(ConfigurationError, match="--response approve or --response reject"):
        promoted(response, by)
    assert bench.ledger.history() == before


def test_rows_from_before_approvals_read_and_replay(bench: Bench, promoted: Callable[..., Decision]) -> None:
    """A row without `approval` and `rejected` has no approval, and replays."""
    row = promoted().model_dump(mode="json", exclude={"approval"})
    row["gate"].pop("rejected")
    old = Decision(**row)
    assert old.approval is None
    assert replay(old)[1]
