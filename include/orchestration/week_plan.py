"""Which week a DAG run is about, and what that week still needs. Names and manifests only; no data is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from ratchet.candidates import CANDIDATES
from ratchet.jobs import keys
from ratchet.jobs.batches import present
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.store import Decision, Ledger
from ratchet.settings import Settings
from ratchet.sources import formats
from ratchet.windows import WEEK, Window, week_of

SQL = "the SQL table of RATCHET_SOURCE"
CHAMPIONS = "the champion's"
"""The Param that keeps the kind of model that serves."""


class NoNewBatch(Exception):
    """There is nothing to train on this week; the run is skipped with this reason."""


@dataclass(frozen=True)
class Week:
    """The plan of one week, small enough for XCom."""

    window: str
    batch: str
    delivery: str
    source: str
    candidate: str
    first: bool


def plan(params: dict[str, Any], logical_date: datetime | None, settings: Settings) -> Week:
    """The week that a DAG run is about. Raises NoNewBatch where its batch has not arrived.

    It rests on what was decided before that week, so that a repeated week is planned as it was the first time.
    A week is named by the Param `window_end`, or else by a logical date that begins one. Any other moment is a click
    in the UI and means the week after the last decision.
    """
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    storage, history = open_storage(settings.store), ledger.history()
    number = _number(params.get("window_end"), logical_date, history, settings)
    batch = keys.batch_name(number)
    delivery = keys.SEED if number < settings.seed_batches else batch
    source = _seed(settings) if delivery == keys.SEED else _arrived(batch, storage)
    if source is None and params.get("force_retrain") and history:
        return plan({**params, "window_end": _next(history) - 1}, logical_date, settings)
    if source is None:
        raise NoNewBatch(
            f"Batch {number} has not arrived: there is no {keys.incoming(batch)}.csv (or .csv.gz) in {storage.uri}. "
            "Put it there, or trigger with force_retrain to train on the last window again."
        )
    window = str(Window(number))
    known = history if params.get("force_retrain") else list(takewhile(lambda row: row.window != window, history))
    return Week(
        window=window,
        batch=batch,
        delivery=delivery,
        source=source,
        candidate=_candidate(params.get("candidate", CHAMPIONS), known),
        first=number == 0 or not any(decision.action == "promote" for decision in known),
    )


def _number(wanted: int | None, logical_date: datetime | None, history: list[Decision], settings: Settings) -> int:
    if wanted is not None:
        return int(wanted)
    if logical_date is not None and _begins_a_week(logical_date, settings):
        return week_of(logical_date, settings.first_week)
    return _next(history)


def _next(history: list[Decision]) -> int:
    """The week after the last one that was decided; a rollback decides on no week."""
    return max((Window.parse(decision.window).end for decision in history if decision.window), default=-1) + 1


def _begins_a_week(moment: datetime, settings: Settings) -> bool:
    first = datetime.combine(settings.first_week, datetime.min.time(), tzinfo=moment.tzinfo)
    return (moment - first) % WEEK == WEEK * 0


def _seed(settings: Settings) -> str:
    """Where the seed comes from; a database's URL stays in the environment, because XCom and logs are read by many."""
    source = settings.source.get_secret_value()
    return SQL if source.startswith("postgresql") else source


def _arrived(batch: str, storage: Storage) -> str | None:
    """The URI of a live batch that was dropped into the store, if it is there; an upload under way is not."""
    found = [key for key in storage.list(f"{keys.incoming(batch)}.") if formats.FILE.fullmatch(key)]
    return f"{storage.uri}/{found[0]}" if found else None


def _candidate(wanted: str, history: list[Decision]) -> str:
    if wanted != CHAMPIONS:
        return wanted
    champion = history[-1].champion if history else None
    kinds = [decision.candidate for decision in history if decision.version == champion and decision.candidate]
    return kinds[-1] if kinds else next(iter(CANDIDATES))


def unfeaturized(window: str, settings: Settings) -> list[dict[str, str]]:
    """Arguments of `featurize` for each batch whose features are missing or stale; the newest, if there are none."""
    storage = open_storage(settings.store)
    batches = [keys.TEST, *present(storage, Window.parse(window))]
    missing = [name for name in batches if Featurize(batch=name).result(storage) is None]
    return [{"batch": name} for name in missing or batches[-1:]]
