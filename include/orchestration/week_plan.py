"""Plans the week of a DAG run and the jobs that it still needs. Reads names and manifests, no data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ratchet.candidates import CANDIDATES
from ratchet.jobs import formats, keys
from ratchet.jobs.batches import present
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings
from ratchet.windows import WEEK, Window, week_of

SQL = "the SQL table of RATCHET_SOURCE"
CHAMPIONS = "the champion's"
"""Value of the Param `candidate` that trains the same candidate as the champion."""


class NoNewBatch(Exception):
    """The batch of this week has not arrived; the run is skipped with this message."""


@dataclass(frozen=True)
class Week:
    """The plan of one week: plain text and booleans, small enough for XCom."""

    window: str
    batch: str
    delivery: str
    source: str
    candidate: str
    first: bool


def plan(params: dict[str, Any], logical_date: datetime | None, settings: Settings) -> Week:
    """The plan of a DAG run's week. Raises NoNewBatch if its batch has not arrived.

    It depends only on the decisions before that week, so a repeated week is planned as it was the first time. The
    Param `window_end` names the week, or else a logical date at the start of a week. Any other logical date comes from
    a click in the UI and means the week after the last decision.
    """
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    storage, history = open_storage(settings.store), ledger.history()
    number = _number(params.get("window_end"), logical_date, history, settings)
    batch = keys.batch_name(number)
    delivery = keys.SEED if number < settings.seed_batches else batch
    source = _seed(settings) if delivery == keys.SEED else _arrived(batch, storage)
    if source is None and params.get("force_retrain") and history:
        return plan({**params, "window_end": history.next_week - 1}, logical_date, settings)
    if source is None:
        raise NoNewBatch(
            f"Batch {number} has not arrived: there is no {keys.incoming(batch)}.csv (or .csv.gz) in {storage.uri}. "
            "Put it there, or trigger with force_retrain to train on the last window again."
        )
    window = str(Window(number))
    known = history if params.get("force_retrain") else history.before(window)
    return Week(
        window=window,
        batch=batch,
        delivery=delivery,
        source=source,
        candidate=_candidate(params.get("candidate", CHAMPIONS), known),
        first=number == 0 or not known.promoted,
    )


def _number(wanted: int | None, logical_date: datetime | None, history: DecisionHistory, settings: Settings) -> int:
    if wanted is not None:
        return int(wanted)
    if logical_date is not None and _begins_a_week(logical_date, settings):
        return week_of(logical_date, settings.first_week)
    return history.next_week


def _begins_a_week(moment: datetime, settings: Settings) -> bool:
    first = datetime.combine(settings.first_week, datetime.min.time(), tzinfo=moment.tzinfo)
    return (moment - first) % WEEK == WEEK * 0


def _seed(settings: Settings) -> str:
    """The source of the seed. A database's URL stays in the environment: many people can read XCom and logs."""
    source = settings.source.get_secret_value()
    return SQL if source.startswith("postgresql") else source


def _arrived(batch: str, storage: Storage) -> str | None:
    """The URI of a live batch in the store; None if it is missing or still being uploaded."""
    found = [key for key in storage.list(f"{keys.incoming(batch)}.") if formats.FILE.fullmatch(key)]
    return f"{storage.uri}/{found[0]}" if found else None


def _candidate(wanted: str, history: DecisionHistory) -> str:
    """The candidate to train; before the first champion the first one of all."""
    if wanted != CHAMPIONS:
        return wanted
    return history.champion_candidate or next(iter(CANDIDATES))


def unfeaturized(window: str, settings: Settings) -> list[dict[str, str]]:
    """Arguments of `featurize` for each batch whose features are missing or stale; for the newest if there are none.

    Airflow skips what follows a mapped task without arguments, so the list is never empty.
    """
    storage = open_storage(settings.store)
    batches = [keys.TEST, *present(storage, Window.parse(window))]
    missing = [name for name in batches if Featurize(batch=name).result(storage) is None]
    return [{"batch": name} for name in missing or batches[-1:]]
