"""What the ledger knows: every decision, and what follows from all of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ratchet.dashboard.queries.databases import short_message
from ratchet.errors import LedgerError, ServiceUnavailable
from ratchet.ledger.store import Decision, Ledger
from ratchet.settings import Settings
from ratchet.windows import Window

CHALLENGER, CHAMPION, PREQUENTIAL = "challenger, test set", "champion, test set", "prequential"


def decisions(settings: Settings) -> list[Decision]:
    """Every decision, oldest first. Raises ServiceUnavailable where the ledger does not answer, else LedgerError."""
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
        raise LedgerError("The ledger holds a decision of another version of Ratchet: update the dashboard.") from error
    except OSError as error:
        raise ServiceUnavailable(f"The ledger's folder cannot be used: {error}. Check RATCHET_STORE.") from error


def windows(rows: list[Decision]) -> list[str]:
    """The windows that were decided on, shortest first."""
    return sorted({row.window for row in rows if row.window}, key=Window.parse)


def champion(rows: list[Decision]) -> tuple[Decision, Decision] | None:
    """The decision that made the present champion, and the one that judged it; the same but after a rollback."""
    moves = [row for row in rows if row.action != "keep"]
    if not moves:
        return None
    judged = [row for row in moves if row.version == moves[-1].version and row.action == "promote"]
    return moves[-1], (judged or moves)[-1]


def measured(row: Decision) -> dict[str, Any]:
    """The evidence, if it has figures: a model whose artifact failed has none, nor has a decision by hand."""
    found = row.evidence.get("evidence", {})
    return found if found.get("metrics") else {}


def macro_f1(row: Decision) -> float | None:
    """Of the version that was judged, on the test set; None where it was not measured."""
    return measured(row).get("metrics", {}).get("macro_f1")


def weeks(rows: list[Decision], scores: dict[str, float]) -> pd.DataFrame:
    """A row per window, longest first; a window decided on again counts as decided last.

    `scores` holds the prequential macro-F1 by window. The champion is the one after the decision.
    """
    last = {row.window: row for row in rows if row.window}
    found = [_week(window, last[window], scores.get(window)) for window in reversed(windows(rows))]
    columns = ["window", CHALLENGER, CHAMPION, PREQUENTIAL, "decision", "version", "champion"]
    return pd.DataFrame(found, columns=columns).astype(
        {CHALLENGER: float, CHAMPION: float, PREQUENTIAL: float, "version": "Int64", "champion": "Int64"}
    )


def _week(window: str, row: Decision, score: float | None) -> tuple[object, ...]:
    challenger = macro_f1(row)
    kept = measured(row).get("champion_metrics", {}).get("macro_f1")
    champion = challenger if row.action == "promote" else kept
    return window, challenger, champion, score, row.action, row.version, row.champion


def curve(table: pd.DataFrame) -> pd.DataFrame:
    """`window`, `score` and `macro_f1`, a row per point of `weeks`."""
    points = table.melt("window", [CHALLENGER, CHAMPION, PREQUENTIAL], "score", "macro_f1")
    return points.dropna(subset="macro_f1").reset_index(drop=True)


def table(rows: list[Decision]) -> pd.DataFrame:
    """The decisions, newest first, one a row, in the columns that people read."""
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


def matching(rows: list[Decision], actions: list[str], words: str) -> list[Decision]:
    """Those of one of these actions in whose window, version, candidate, reasons or author all words occur."""
    return [row for row in rows if row.action in actions and all(word in _said(row) for word in words.lower().split())]


def _said(row: Decision) -> str:
    """All that a search looks through."""
    facts = [row.window, f"version {row.version}", row.candidate, row.decided_by, row.decided_at, *row.reasons]
    return " ".join(facts).lower()


def checks(row: Decision) -> list[tuple[str, bool, str]]:
    """The questions of the gate with their answers: name, whether it passed, what it says; none if it was not asked."""
    asked = row.evidence.get("verdict", {}).get("checks", [])
    return [(check["name"], check["passed"], check["says"]) for check in asked]
