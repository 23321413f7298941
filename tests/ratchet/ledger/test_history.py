"""Who is champion, since when, and who was before: all of it follows from the decisions alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from harness.ledger import gate_record
from ratchet.ledger.approval import Approval
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory


def history_of(*steps: str) -> DecisionHistory:
    """The decisions of some steps, such as `promote 2`, `keep 3`, `rollback 1`, `reject 3` or `approve 3`.

    Ids count from 1. Version v was trained on window 0-(v-1), as linear-svc if v is odd.
    """
    rows: list[Decision] = []
    for number, step in enumerate(steps, 1):
        word, version = step.split()[0], int(step.split()[1])
        champion = rows[-1].champion if rows else None
        response = {"reject": "reject", "approve": "approve"}.get(word)
        judged = word != "rollback"
        rows.append(
            Decision(
                id=number,
                subject=f"{number}",
                action={"reject": "keep", "approve": "promote"}.get(word, word),
                version=version,
                previous=champion,
                window=f"0-{version - 1}" if judged else "",
                candidate=("linear-svc" if version % 2 else "logistic-regression") if judged else "",
                reasons=[step],
                gate=gate_record(version, f"digest {version}") if judged else None,
                approval=Approval(response=response, by="jane") if response else None,
            )
        )
    return DecisionHistory(rows)


def test_without_a_decision_there_is_no_champion() -> None:
    """Nothing is champion, nothing was decided on, and week 0 comes next."""
    history = history_of()
    assert (history.champion, history.champion_decision, history.judged_by) == (None, None, None)
    assert (history.previous_champion, history.champion_candidate, history.kept_since) == (None, "", 0)
    assert (history.windows, history.next_week, history.promoted) == ([], 0, {})


def test_a_challenger_that_was_kept_back_makes_no_champion() -> None:
    """A first week that fails leaves no champion, and the next week is week 1."""
    history = history_of("keep 1")
    assert (history.champion, history.champion_decision, history.kept_since) == (None, None, 0)
    assert (history.champion_candidate, history.next_week, history.windows) == ("", 1, ["0-0"])


@pytest.mark.parametrize(
    ("steps", "champion", "made", "judged", "previous", "kept"),
    [
        (["promote 1"], 1, 1, 1, None, 0),
        (["promote 1", "keep 2", "keep 3"], 1, 1, 1, None, 2),
        (["promote 1", "keep 2", "promote 3"], 3, 3, 3, 1, 0),
        (["promote 1", "promote 2", "rollback 1"], 1, 3, 1, 2, 0),
        (["promote 1", "promote 2", "rollback 1", "keep 3"], 1, 3, 1, 2, 1),
        (["promote 1", "promote 2", "rollback 1", "rollback 2"], 2, 4, 2, 1, 0),
        (["promote 1", "promote 2", "promote 3", "rollback 2", "rollback 1"], 1, 5, 1, 2, 0),
        (["promote 1", "reject 2", "approve 2"], 2, 3, 3, 1, 0),
    ],
)
def test_the_last_change_makes_the_champion(
    steps: list[str], champion: int, made: int, judged: int, previous: int | None, kept: int
) -> None:
    """A rollback makes a champion that an older promotion judged; a keep changes nothing."""
    history = history_of(*steps)
    assert history.champion == champion == history[-1].champion
    assert history.champion_decision is not None
    assert history.judged_by is not None
    assert (history.champion_decision.id, history.judged_by.id) == (made, judged)
    assert (history.previous_champion, history.kept_since) == (previous, kept)
    assert history.champion_candidate == history.judged_by.candidate


def test_repeated_rollbacks_walk_backwards_through_the_promotions() -> None:
    """A version's predecessor is the champion that its promotion replaced, independent of later rollbacks."""
    history = history_of("promote 1", "promote 2", "keep 3", "promote 4", "rollback 2")
    assert history.promoted == {1: None, 2: 1, 4: 2}
    assert [history.predecessor(version) for version in (4, 2, 1, 3, None)] == [2, 1, None, None, None]


def test_a_version_is_withdrawn_until_a_rollback_returns_to_it() -> None:
    """The id is that of the rollback that moved away from it."""
    away = ["promote 1", "promote 2", "rollback 1"]
    assert history_of(*away).withdrawn_in(2) == 3
    assert history_of(*away).withdrawn_in(1) is None
    assert history_of(*away, "rollback 2").withdrawn_in(2) is None
    assert history_of(*away, "rollback 2").withdrawn_in(1) == 4
    assert history_of(*away, "rollback 2", "rollback 1").withdrawn_in(2) == 5


def test_a_version_is_rejected_until_it_is_approved() -> None:
    """The id is that of the decision with the rejection; decisions without an approval do not count."""
    assert history_of("promote 1", "reject 2").rejected_in(2) == 2
    assert history_of("promote 1", "reject 2", "keep 2").rejected_in(2) == 2
    assert history_of("promote 1", "reject 2", "approve 2").rejected_in(2) is None
    assert history_of("promote 1", "reject 2", "approve 2", "reject 2").rejected_in(2) == 4
    assert history_of("promote 1", "reject 2").rejected_in(1) is None
    assert history_of("promote 1", "reject 2").rejected_in(None) is None


def test_windows_are_sorted_by_length_and_the_last_decision_on_each_counts() -> None:
    """0-10 comes after 0-9, and a rollback decides on no window."""
    history = history_of("promote 1", "promote 11", "keep 10", "keep 11", "rollback 1")
    assert history.windows == ["0-0", "0-9", "0-10"]
    assert history.last_by_window["0-10"].id == 4
    assert history.next_week == 11


def test_the_decisions_before_a_window_end_at_the_first_one_on_it() -> None:
    """A repeated week is planned from what was known when it was planned first."""
    history = history_of("promote 1", "keep 2", "promote 3", "promote 2")
    assert history.before("0-1") == history[:1]
    assert history.before("0-8") == history
    assert history.before("0-2").champion == 1


def test_the_digest_is_that_of_the_last_evidence_on_a_version() -> None:
    """A version that the gate never judged has none."""
    history = history_of("promote 1", "keep 2", "rollback 1")
    assert (history.judged_digest(1), history.judged_digest(2), history.judged_digest(3)) == (
        "digest 1", "digest 2", None,
    )  # fmt: skip


def test_a_history_is_a_sequence_of_its_decisions() -> None:
    """It has a length, an order and slices, and equals a list of the same decisions."""
    history = history_of("promote 1", "keep 2", "rollback 1")
    assert (len(history), bool(history), bool(history_of())) == (3, True, False)
    assert list(history) == [history[0], history[1], history[2]] == history
    assert history[::-1] == list(reversed(history))
    assert history != history[:2]
    assert [history.number_of(action) for action in ("promote", "keep", "rollback")] == [1, 1, 1]


def dated(*steps: str) -> DecisionHistory:
    """The decisions of `history_of`, one on each day of January 2026 at 10:00 UTC."""
    rows = history_of(*steps)
    return DecisionHistory(
        row.model_copy(update={"decided_at": f"2026-01-{day:02}T10:00:00.000+00:00"}) for day, row in enumerate(rows, 1)
    )


@pytest.mark.parametrize(
    ("at", "decision"),
    [
        (datetime(2026, 1, 1, 9, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 1, 2, 9, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 1, 2, 10, tzinfo=UTC), 2),
        (datetime(2026, 1, 3, 11, tzinfo=UTC), 2),
        (datetime(2026, 1, 4, 11, 30, tzinfo=timezone(timedelta(hours=2))), 2),
        (datetime(2026, 1, 4, 12, 0, tzinfo=timezone(timedelta(hours=2))), 4),
        (datetime(2026, 1, 5, 10, tzinfo=UTC), 5),
        (datetime.max.replace(tzinfo=UTC), 5),
    ],
)
def test_the_decision_in_force_at_a_moment(at: datetime, decision: int | None) -> None:
    """Only promotions and rollbacks change it; a decision holds from its own moment on, in any time zone."""
    found = dated("keep 1", "promote 2", "keep 3", "promote 4", "rollback 2").champion_decision_at(at)
    assert (found.id if found else None) == decision


def test_the_decisions_since_a_moment() -> None:
    """One that was made at that moment is among them."""
    history = dated("promote 1", "keep 2", "promote 3")
    assert [row.id for row in history.since(datetime(2026, 1, 2, 10, tzinfo=UTC))] == [2, 3]
    assert len(history.since(datetime(2026, 1, 4, tzinfo=UTC))) == 0
