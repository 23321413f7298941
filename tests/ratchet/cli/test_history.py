"""`ratchet history` and `ratchet explain` answer who was champion when, and why, on one page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from harness.dashboard import decided, twelve_weeks
from ratchet.errors import LedgerError
from ratchet.ledger.store import Ledger

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Twelve weeks, of which week 1 was kept back, and a rollback from version 12 to 11."""
    store = tmp_path / "store"
    store.mkdir()
    twelve_weeks(store)
    return Ledger(SecretStr(f"sqlite:///{store}/ledger.db"), "review-sentiment")


def ids(output: str) -> list[int]:
    """The ids of the decisions in `--json` output."""
    return [json.loads(line)["id"] for line in output.splitlines()]


def test_who_was_champion_at_a_moment(ratchet: Run, ledger: Ledger) -> None:
    """The answer names the version and the decision; before the first promotion there is no champion."""
    history = ledger.history()
    rollback, promotion = history[-1], history[-2]
    code, out, _ = ratchet("history", "--at", promotion.decided_at)
    assert (code, "Version 12 was champion at" in out, "promoted in decision 12 by the gate" in out) == (0, True, True)
    code, out, _ = ratchet("history", "--at", "9999-12-31")
    assert (code, f"made champion again in decision {rollback.id} by ada" in out) == (0, True)
    assert ids(ratchet("history", "--at", "9999-12-31T23:59Z", "--json")[1]) == [rollback.id]
    code, out, err = ratchet("history", "--at", "2001-01-01T10:00Z")
    assert (code, out) == (LedgerError.exit_code, "")
    assert "No version was champion yet at 2001-01-01 10:00:00 UTC" in err


def test_a_moment_that_is_none_is_refused(ratchet: Run) -> None:
    """The message shows the form."""
    for option in ("--at", "--since"):
        code, out, err = ratchet("history", option, "last week")
        assert (code, out) == (2, "")
        assert "Write 2026-03-04 or 2026-03-04T10:00Z" in " ".join(err.replace("\u2502", " ").split())


def test_since_and_limit_choose_decisions(ratchet: Run, ledger: Ledger) -> None:
    """Oldest first; `--limit` keeps the newest."""
    history = ledger.history()
    assert ids(ratchet("history", "--json")[1]) == [row.id for row in history]
    assert ids(ratchet("history", "--json", "--limit", "3")[1]) == [11, 12, 13]
    assert ids(ratchet("history", "--json", "--since", history[10].decided_at, "--limit", "0")[1]) == [11, 12, 13]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert ratchet("history", "--json", "--since", tomorrow)[:2] == (0, "")


def test_500_decisions_stay_readable(ratchet: Run, ledger: Ledger) -> None:
    """The table has the newest 20, and a line that says how many there are."""
    champion = ledger.champion()
    kept = decided(1, champion)
    for number in range(487):
        ledger.record(kept.model_copy(update={"subject": f"week {number}"}), champion)
    code, out, _ = ratchet("history")
    assert code == 0
    assert "The newest 20 of 500 decisions. `--limit 0` lists all of them." in out
    assert len(out.splitlines()) < 50
    assert len(ratchet("history", "--limit", "0")[1].splitlines()) > 500


def test_explain_is_one_page_and_verbose_has_the_rest(ratchet: Run, ledger: Ledger) -> None:
    """The page has each check that failed, and counts the others."""
    verdict = ledger.history()[1].verdict
    assert verdict is not None
    passed = [check for check in verdict.checks if check.passed]
    failed = [check for check in verdict.checks if not check.passed]
    _, page, _ = ratchet("explain", "2")
    _, full, _ = ratchet("explain", "2", "--verbose")
    assert f"{len(passed)} passed; --verbose lists them" in page
    assert (page.count("FAIL"), page.count("pass ")) == (len(failed), 0)
    assert (full.count("FAIL"), full.count("pass ")) == (len(failed), len(passed))
    assert len(page.splitlines()) < 25
