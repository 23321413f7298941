"""Rows that were written before fields were renamed: they are never changed, so they must be read for ever.

`old_rows.json` is the table `decisions` after a rejection, a decision without approval, an approval, a late rejection,
a rollback, a challenger that was measured against a former champion, two of a withdrawn version, a rollback that
reverts the first, and a promotion.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ratchet.ledger.approval import Approval
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger, decisions
from ratchet.promotion.promote import replay

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("old_rows.json").read_text())
GATE = [row["id"] for row in ROWS if row["entry"]["action"] != "rollback"]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger with the old rows, written as they are."""
    ledger = Ledger(SecretStr(f"sqlite:///{tmp_path_factory.mktemp('old')}/ledger.db"), "review-sentiment")
    with ledger.engine.begin() as connection:
        connection.execute(decisions.insert(), ROWS)
    return ledger


def entry(identity: int) -> dict[str, Any]:
    """A copy of an old row's JSON."""
    return deepcopy(ROWS[identity - 1]["entry"])


def test_the_old_rows_have_the_old_names() -> None:
    """Else this file would test nothing."""
    assert all({"answer", "evidence"} <= row["entry"].keys() for row in ROWS)
    assert not any({"approval", "gate"} & row["entry"].keys() for row in ROWS)
    assert ROWS[1]["entry"]["answer"]["says"] == "reject"
    assert "says" in ROWS[1]["entry"]["evidence"]["verdict"]["checks"][0]


def test_every_old_row_is_read_with_all_it_has(ledger: Ledger) -> None:
    """Approval, evidence, policy, verdict and messages are where the new names are."""
    for row, decision in zip(ROWS, ledger.history(), strict=True):
        old = row["entry"]
        assert (decision.id, decision.action, decision.reasons) == (row["id"], old["action"], old["reasons"])
        assert (decision.approval and decision.approval.response) == (old["answer"] and old["answer"]["says"])
        if not old["evidence"]:
            assert (decision.gate, decision.evidence, decision.verdict) == (None, None, None)
            continue
        assert decision.gate is not None
        assert decision.gate.evidence.model_dump(mode="json") == old["evidence"]["evidence"]
        assert decision.gate.policy.model_dump(mode="json") == old["evidence"]["policy"]
        assert (decision.gate.withdrawn, decision.gate.rejected) == (
            old["evidence"]["withdrawn"], old["evidence"]["rejected"],
        )  # fmt: skip
        messages = [check.message for check in decision.gate.verdict.checks]
        assert messages == [check["says"] for check in old["evidence"]["verdict"]["checks"]]


@pytest.mark.parametrize("identity", GATE)
def test_every_old_decision_replays(ledger: Ledger, identity: int) -> None:
    """Checks, action and reasons follow from the evidence of an old row."""
    assert replay(ledger.decision(identity))[1]


@pytest.mark.parametrize("identity", GATE)
def test_an_old_decision_replays_after_it_was_written_with_the_new_names(ledger: Ledger, identity: int) -> None:
    """Only the new names are written, and they are read back as they were."""
    decision = ledger.decision(identity)
    written = decision.model_dump(mode="json")
    assert not {"answer", "evidence"} & written.keys()
    assert "says" not in json.dumps(written)
    again = Decision.model_validate(written)
    assert again == decision
    assert replay(again)[1]


def test_a_changed_old_decision_does_not_replay(ledger: Ledger) -> None:
    """A rejection that became an approval, and a reason that was never given, are noticed."""
    rejected = entry(2)
    rejected["answer"]["says"] = "approve"
    assert not replay(Decision.model_validate(rejected))[1]
    assert not replay(Decision.model_validate(entry(4) | {"reasons": ["an invented reason"]}))[1]


@pytest.mark.parametrize("identity", [1, 4, 11])
def test_rows_without_withdrawn_rejected_and_answer_replay(identity: int) -> None:
    """The oldest rows know nothing of rollbacks, rejections and approvals."""
    old = entry(identity)
    if old["answer"]:
        old["reasons"].remove("approved by joe")
    for name in ("withdrawn", "rejected"):
        del old["evidence"][name]
    del old["answer"]
    decision = Decision.model_validate(old)
    assert decision.gate is not None
    assert (decision.approval, decision.gate.withdrawn, decision.gate.rejected) == (None, None, None)
    assert replay(decision)[1]


def test_the_oldest_rows_did_not_consider_the_present_champion() -> None:
    """A late decision on the version that serves by now gives another reason in a row without `rejected`."""
    late = entry(7)
    late |= {"previous": late["version"]}
    assert not replay(Decision.model_validate(late))[1]
    del late["evidence"]["rejected"]
    assert replay(Decision.model_validate(late))[1]


def test_an_approval_has_the_same_identity_under_both_names() -> None:
    """The subject of a decision contains it, so that a job that runs again finds its row."""
    old = entry(4)
    approval = Approval.model_validate(old["answer"])
    assert approval == Approval(response="approve", by="joe", at="2026-01-13T09:30:00+00:00")
    assert approval.identity == "50be333da1225411" == old["subject"].rpartition("/")[2]


def test_the_history_of_old_rows_is_what_happened(ledger: Ledger) -> None:
    """Version 3 is champion after version 2, which was rejected, approved, rolled back and rolled back to."""
    history = ledger.history()
    assert isinstance(history, DecisionHistory)
    assert (history.champion, history.previous_champion, history.kept_since) == (3, 2, 0)
    assert DecisionHistory(history[:9]).withdrawn_in(2) == 6
    assert history.withdrawn_in(2) is None
    assert DecisionHistory(history[:3]).rejected_in(2) == 2
    assert (history.windows, history.next_week) == (["0-0", "0-1", "0-2"], 3)
