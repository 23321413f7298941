"""A connection to the prediction log, as the API keeps it in a database, that cannot write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from ratchet.dashboard.queries.databases import said
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.prediction_log.sinks.database import feedback, predictions

CONNECT_SECONDS, ANSWER_SECONDS = 3, 20
"""How long a page waits for Postgres. It shows the rest without it."""


def has_log(connection: sa.Connection) -> bool:
    """Whether the API ever logged something here: it makes the tables then."""
    return {predictions.name, feedback.name} <= set(sa.inspect(connection).get_table_names())


@contextmanager
def connected(settings: DashboardSettings) -> Iterator[sa.Connection]:
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
    waits = {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={ANSWER_SECONDS}s"}
    given = waits if url.get_backend_name() == "postgresql" else {}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=given)
