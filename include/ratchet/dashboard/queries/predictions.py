"""What the prediction log knows: how many answers of which kind were given when, and which true labels came back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

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


def _counted(settings: DashboardSettings, since: datetime, described: sa.Select) -> list[sa.Row]:
    """How many predictions have the same description; none where nothing was ever logged."""
    rows = described.where(predictions.c.at >= since).subquery()
    with _connection(settings) as connection:
        if not {predictions.name, feedback.name} <= set(sa.inspect(connection).get_table_names()):
            return []
        return list(connection.execute(sa.select(*rows.c, sa.func.count()).group_by(*rows.c)))


@contextmanager
def _connection(settings: DashboardSettings) -> Iterator[sa.Connection]:
    """A connection that the database itself keeps from writing."""
    where = ""
    try:
        url = sa.make_url(settings.log_url.get_secret_value())
        where = url.render_as_string(hide_password=True)
        waits = {"connect_timeout": SECONDS} if url.get_backend_name() == "postgresql" else {}
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=waits)
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    except OperationalError as error:
        raise ServiceUnavailable(
            f"The prediction log at {where} did not answer: {error.orig}. Is its database up?"
        ) from error
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"The prediction log cannot be read: {error}. Correct RATCHET_SERVING_LOG; may this role read the tables "
            "`predictions` and `feedback`?"
        ) from error
    except OSError as error:
        raise ServiceUnavailable(f"The prediction log's folder is of no use: {error}. Check RATCHET_STORE.") from error
