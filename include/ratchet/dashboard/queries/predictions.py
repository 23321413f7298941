"""What the prediction log knows: how many answers of which kind were given when, and which true labels came back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from ratchet.dashboard.queries.databases import said
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, ServiceUnavailable

predictions = sa.table(
    "predictions",
    sa.column("prediction_id", sa.Text),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("model_version", sa.Integer),
    sa.column("arm", sa.Text),
    sa.column("label", sa.Integer),
    sa.column("probability", sa.Float),
)
feedback = sa.table("feedback", sa.column("prediction_id", sa.Text), sa.column("label", sa.Integer))

STEPS = {"hour": (3600, 0), "day": (86_400, 0), "week": (604_800, 345_600)}
"""Seconds, and when the first one began on the Unix clock: 1970-01-05 was a Monday."""
BINS = 20
SECONDS = 3  # the page waits for a connection, and shows the rest without it
CELLS = ["began", "model_version", "arm", "label", "truth", "reviews"]


def cells(settings: DashboardSettings, since: datetime, step: Literal["hour", "day", "week"]) -> pd.DataFrame:
    """Counts of reviews by time, version, arm, answer and truth; `truth` is missing where no feedback came.

    `began` is the UTC start of the step. Raises ServiceUnavailable or ConfigurationError where the log has no answer.
    """
    seconds, first = STEPS[step]
    began = sa.func.floor((sa.extract("epoch", predictions.c.at) - first) / float(seconds)) * seconds + first
    known = predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id)
    described = sa.select(
        began.label("began"),
        predictions.c.model_version,
        predictions.c.arm,
        predictions.c.label,
        feedback.c.label.label("truth"),
    ).select_from(known)
    table = pd.DataFrame(_counted(settings, since, described), columns=CELLS)
    table = table.astype({"truth": "Int64", "reviews": "int64"})
    table["began"] = pd.to_datetime(table["began"].astype(float), unit="s", utc=True)
    return table.sort_values(CELLS[:-1], ignore_index=True)


def probabilities(settings: DashboardSettings, since: datetime) -> pd.DataFrame:
    """Counts of reviews by probability of label 1, twenty bins: `low`, `high`, `model_version`, `arm`, `reviews`."""
    number = sa.func.floor(predictions.c.probability * BINS)
    described = sa.select(
        sa.case((number >= BINS, BINS - 1), else_=number).label("bin"),
        predictions.c.model_version,
        predictions.c.arm,
    )
    table = pd.DataFrame(_counted(settings, since, described), columns=["low", "model_version", "arm", "reviews"])
    table["low"] = table["low"].astype(float) / BINS
    table.insert(1, "high", table["low"] + 1 / BINS)
    return table


@dataclass(frozen=True)
class Arm:
    """How one arm fared while both were asked: answers, those with a true label, and those of them that were right."""

    version: int
    answered: int
    known: int
    right: int


def pair(settings: DashboardSettings, since: datetime) -> tuple[Arm, Arm] | None:
    """Champion and challenger of the newest experiment, over the time in which both answered; None without one."""
    rows = sa.select(predictions.c.arm, predictions.c.model_version, predictions.c.at).where(
        predictions.c.at >= since, predictions.c.arm.in_(["champion", "challenger"])
    )
    with _connection(settings) as connection:
        if not _has_log(connection):
            return None
        newest = rows.order_by(predictions.c.at.desc()).limit(1)
        challenger = connection.execute(newest.where(predictions.c.arm == "challenger")).first()
        if challenger is None:
            return None
        until = _its(rows, challenger).with_only_columns(sa.func.max(predictions.c.at)).scalar_subquery()
        champion = connection.execute(newest.where(predictions.c.arm == "champion", predictions.c.at <= until)).first()
        if champion is None:
            return None
        both = sa.union_all(_its(rows, challenger), _its(rows, champion)).subquery()
        spans = sa.select(sa.func.min(both.c.at).label("first"), sa.func.max(both.c.at).label("last"))
        spans = spans.group_by(both.c.arm).subquery()
        first, last = sa.select(sa.func.max(spans.c.first)), sa.select(sa.func.min(spans.c.last))
        return tuple(
            _fared(connection, each.model_version, _its(rows, each), first.scalar_subquery(), last.scalar_subquery())
            for each in (champion, challenger)
        )


def _its(rows: sa.Select, arm: sa.Row) -> sa.Select:
    """The rows of one arm and its version."""
    return rows.where(predictions.c.arm == arm.arm, predictions.c.model_version == arm.model_version)


def _fared(
    connection: sa.Connection, version: int, rows: sa.Select, first: sa.ScalarSelect, last: sa.ScalarSelect
) -> Arm:
    right = sa.case((feedback.c.label == predictions.c.label, 1), else_=0)
    known = predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id)
    counts = (sa.func.count(), sa.func.count(feedback.c.label), sa.func.coalesce(sa.func.sum(right), 0))
    question = rows.with_only_columns(*counts).select_from(known).where(predictions.c.at.between(first, last))
    return Arm(version, *connection.execute(question).one())


def _counted(settings: DashboardSettings, since: datetime, described: sa.Select) -> list[sa.Row]:
    """How many predictions have the same description; none where nothing was ever logged."""
    rows = described.where(predictions.c.at >= since).subquery()
    with _connection(settings) as connection:
        if not _has_log(connection):
            return []
        return list(connection.execute(sa.select(*rows.c, sa.func.count()).group_by(*rows.c)))


def _has_log(connection: sa.Connection) -> bool:
    """Whether the API ever logged something here: it makes the tables then."""
    return {predictions.name, feedback.name} <= set(sa.inspect(connection).get_table_names())


@contextmanager
def _connection(settings: DashboardSettings) -> Iterator[sa.Connection]:
    """A connection that the database itself keeps from writing."""
    try:
        engine = _engine(settings)
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    except OperationalError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise ServiceUnavailable(
            f"The prediction log at {where} did not answer: {said(error)}. Is its database up?"
        ) from error
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"The prediction log cannot be read: {said(error)}. Correct RATCHET_SERVING_LOG; may this role read the "
            "tables `predictions` and `feedback`?"
        ) from error
    except OSError as error:
        raise ServiceUnavailable(f"The prediction log's folder is of no use: {error}. Check RATCHET_STORE.") from error


def _engine(settings: DashboardSettings) -> sa.Engine:
    """The database of the log. Raises ConfigurationError where the log is kept as files."""
    try:
        url = sa.make_url(settings.log_url.get_secret_value())
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in {"postgresql", "sqlite"}:
        raise ConfigurationError(
            "RATCHET_SERVING_LOG names files, and the dashboard asks databases alone. Correct it, or let the API log "
            "into Postgres."
        )
    waits = {"connect_timeout": SECONDS} if url.get_backend_name() == "postgresql" else {}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=waits)
