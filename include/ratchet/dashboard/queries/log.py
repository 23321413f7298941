"""A read-only connection to the API's prediction log in a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from ratchet.dashboard.queries.databases import short_message
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.prediction_log.sinks.database import feedback, predictions

CONNECT_SECONDS, STATEMENT_SECONDS = 3, 20
"""The time that a page waits for Postgres, in seconds. Without it, the page shows the rest."""


def has_log(connection: sa.Connection) -> bool:
    """Whether the tables of the prediction log exist; the API creates them with its first row."""
    return {predictions.name, feedback.name} <= set(sa.inspect(connection).get_table_names())


@contextmanager
def read_only_connection(settings: DashboardSettings) -> Iterator[sa.Connection]:
    """A connection on which the database refuses writes.

    Raises ServiceUnavailable if the database does not answer, ConfigurationError if it cannot be read or the log is
    not in a database.
    """
    try:
        engine = _engine(settings)
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    except OperationalError as error:
        url = engine.url.render_as_string(hide_password=True)
        raise ServiceUnavailable(
            f"The prediction log at {url} did not answer: {short_message(error)}. Is its database up?"
        ) from error
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"The prediction log cannot be read: {short_message(error)}. Correct RATCHET_SERVING_LOG; may this role "
            "read the tables `predictions` and `feedback`?"
        ) from error
    except OSError as error:
        raise ServiceUnavailable(
            f"The folder of the prediction log cannot be used: {error}. Check RATCHET_STORE."
        ) from error


def _engine(settings: DashboardSettings) -> sa.Engine:
    """The database of the log. Raises ConfigurationError if the log consists of files."""
    try:
        url = sa.make_url(settings.log_url.get_secret_value())
    except (ArgumentError, ValueError):  # ValueError: a bad port
        url = None
    if url is None or url.get_backend_name() not in {"postgresql", "sqlite"}:
        raise ConfigurationError(
            "RATCHET_SERVING_LOG names files, and the dashboard reads databases only. Correct it, or let the API log "
            "into Postgres."
        )
    timeouts = {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={STATEMENT_SECONDS}s"}
    options = timeouts if url.get_backend_name() == "postgresql" else {}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
