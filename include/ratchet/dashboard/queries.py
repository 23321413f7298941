"""What the pages ask, and whom: the ledger, the store, the API. Nothing here writes, and nothing here draws."""

from __future__ import annotations

from typing import Any

import httpx
import pandas as pd
from sqlalchemy.exc import SQLAlchemyError

from ratchet import keys, manifests
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, LedgerError, ServiceUnavailable
from ratchet.ledger import Decision, Ledger
from ratchet.settings import Settings
from ratchet.storage import open_storage
from ratchet.windows import Window

CHALLENGER, CHAMPION, PREQUENTIAL = "challenger, test set", "champion, test set", "prequential"
API_SECONDS = 3.0  # the page waits for it, and shows the rest without it


def decisions(settings: Settings) -> list[Decision]:
    """Every decision, oldest first. Raises ServiceUnavailable where the ledger does not answer."""
    try:
        ledger = Ledger(settings.ledger_url, settings.registered_model)
        try:
            return ledger.history()
        finally:
            ledger.engine.dispose()
    except SQLAlchemyError as error:
        raise LedgerError(f"The ledger cannot be read: {error}. May this role read the table `decisions`?") from error


def prequential(settings: Settings, windows: list[str]) -> dict[str, float]:
    """By window 0-k, the champion's macro-F1 on batch k before anything trained on it; none where it was not scored."""
    storage, scores = open_storage(settings.store), {}
    for window in windows:
        made = manifests.find(storage, keys.score(keys.batch_name(Window.parse(window).end)))
        if made and "macro_f1" in made.metrics:
            scores[window] = made.metrics["macro_f1"]
    return scores


def served(settings: DashboardSettings) -> dict[str, Any]:
    """What the API says of the model that it serves. Raises ServiceUnavailable or ConfigurationError, with a remedy."""
    key = settings.dashboard_api_key.get_secret_value()
    try:
        answer = httpx.get(
            f"{settings.dashboard_api}/model", headers={"Authorization": f"Bearer {key}"}, timeout=API_SECONDS
        )
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        where = settings.dashboard_api
        raise ServiceUnavailable(f"The API at {where} did not answer: {error}. Is `ratchet serve` up?") from error
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise ConfigurationError("The API knows no such key. Correct RATCHET_DASHBOARD_API_KEY.")
    if answer.status_code != httpx.codes.OK:
        raise ServiceUnavailable(f"The API serves nothing: {body.get('detail', answer.status_code)}")
    return body


def windows(rows: list[Decision]) -> list[str]:
    """The windows that were decided on, shortest first."""
    return sorted({row.window for row in rows if row.window}, key=Window.parse)


def curve(rows: list[Decision], scores: dict[str, float]) -> pd.DataFrame:
    """`window`, `score` and `macro_f1`, a row per point. A window decided on again counts as decided last."""
    last = {row.window: row for row in rows if row.window and _measured(row)}
    points = []
    for window, row in sorted(last.items(), key=lambda item: Window.parse(item[0])):
        found = _measured(row)
        challenger = found["metrics"]["macro_f1"]
        before = found.get("champion_metrics", {}).get("macro_f1", challenger)
        points += [
            (window, CHALLENGER, challenger),
            (window, CHAMPION, challenger if row.action == "promote" else before),
        ]
    points += [(window, PREQUENTIAL, score) for window, score in scores.items()]
    return pd.DataFrame(points, columns=["window", "score", "macro_f1"])


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
                _measured(row).get("metrics", {}).get("macro_f1"),
                "; ".join(row.reasons),
                row.decided_by,
            )
            for row in reversed(rows)
        ],
        columns=columns,
    ).astype({"version": "Int64", "champion": "Int64"})


def champion(rows: list[Decision]) -> tuple[Decision, Decision] | None:
    """The decision that made the present champion, and the one that judged it; the same but after a rollback."""
    moves = [row for row in rows if row.action != "keep"]
    if not moves:
        return None
    judged = [row for row in moves if row.version == moves[-1].version and row.action == "promote"]
    return moves[-1], (judged or moves)[-1]


def macro_f1(row: Decision) -> float | None:
    """Of the version that was judged, on the test set; None where it was not measured."""
    return _measured(row).get("metrics", {}).get("macro_f1")


def _measured(row: Decision) -> dict[str, Any]:
    """The evidence, if it has figures: a model whose artifact failed has none, nor has a decision by hand."""
    found = row.evidence.get("evidence", {})
    return found if found.get("metrics") else {}
