"""Decisions of the ledger, as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ratchet.dashboard.queries.databases import short_message
from ratchet.errors import LedgerError, ServiceUnavailable
from ratchet.ledger.decision import Decision, Evidence
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings

CHALLENGER, CHAMPION, PREQUENTIAL = "challenger, test set", "champion, test set", "prequential"


def decisions(settings: Settings) -> DecisionHistory:
    """Every decision, oldest first.

    Raises ServiceUnavailable if the ledger does not answer, LedgerError if it answers and cannot be read.
    """
    try:
        ledger = Ledger(settings.ledger_url, settings.registered_model)
        try:
            return ledger.history()
        finally:
            ledger.engine.dispose()
    except SQLAlchemyError as error:
        raise LedgerError(
            f"The ledger cannot be read: {short_message(error)}. May this role read the table `decisions`?"
        ) from error
    except ValidationError as error:
        raise LedgerError("The ledger has a decision of another version of Ratchet: update the dashboard.") from error
    except OSError as error:
        raise ServiceUnavailable(f"The ledger's folder cannot be used: {error}. Check RATCHET_STORE.") from error


def measured(row: Decision) -> Evidence | None:
    """The evidence, if it has metrics; a model that does not load has none, nor has a rollback."""
    return row.evidence if row.evidence and row.evidence.metrics else None


def macro_f1(row: Decision) -> float | None:
    """Macro-F1 of the judged version on the test set; None if it was not measured."""
    evidence = measured(row)
    return evidence.metrics.get("macro_f1") if evidence else None


def weeks(rows: DecisionHistory, scores: Mapping[str, float]) -> pd.DataFrame:
    """A row per window, longest first, from the last decision on it.

    `scores` has the prequential macro-F1 by window. The champion is the one after the decision.
    """
    last = rows.last_by_window
    found = [_week(window, last[window], scores.get(window)) for window in reversed(rows.windows)]
    columns = ["window", CHALLENGER, CHAMPION, PREQUENTIAL, "decision", "version", "champion"]
    return pd.DataFrame(found, columns=columns).astype(
        {CHALLENGER: float, CHAMPION: float, PREQUENTIAL: float, "version": "Int64", "champion": "Int64"}
    )


def _week(window: str, row: Decision, score: float | None) -> tuple[object, ...]:
    challenger = macro_f1(row)
    evidence = measured(row)
    kept = evidence.champion_metrics.get("macro_f1") if evidence else None
    champion = challenger if row.action == "promote" else kept
    return window, challenger, champion, score, row.action, row.version, row.champion


def curve(table: pd.DataFrame) -> pd.DataFrame:
    """`window`, `score` and `macro_f1`, a row per point of `weeks`."""
    points = table.melt("window", [CHALLENGER, CHAMPION, PREQUENTIAL], "score", "macro_f1")
    return points.dropna(subset="macro_f1").reset_index(drop=True)


def table(rows: Sequence[Decision]) -> pd.DataFrame:
    """A row per decision, newest first, in the columns of the page."""
    columns = ["id", "when (UTC)", "window", "decision", "version", "champion", "macro-F1", "because", "by"]
    return pd.DataFrame(
        [
            (
                row.id,
                row.decided_at[:16].replace("T", " "),
                row.window,
                row.action,
                row.version,
                row.champion,
                macro_f1(row),
                "; ".join(row.reasons),
                row.decided_by,
            )
            for row in reversed(rows)
        ],
        columns=columns,
    ).astype({"version": "Int64", "champion": "Int64", "macro-F1": float})


def matching(rows: Iterable[Decision], actions: Sequence[str], words: str) -> list[Decision]:
    """The decisions with one of these actions whose window, version, candidate, reasons or author have all words."""
    wanted = words.lower().split()
    return [row for row in rows if row.action in actions and all(word in _searched(row) for word in wanted)]


def _searched(row: Decision) -> str:
    """The text that a search looks through."""
    facts = [row.window, f"version {row.version}", row.candidate, row.decided_by, row.decided_at, *row.reasons]
    return " ".join(facts).lower()


def checks(row: Decision) -> list[tuple[str, bool, str]]:
    """The checks of the gate: name, whether it passed, message. Empty for a rollback."""
    return [(check.name, check.passed, check.message) for check in row.verdict.checks] if row.verdict else []
