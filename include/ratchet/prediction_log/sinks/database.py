"""A sink of two database tables, `predictions` and `feedback`; by default in the database of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ratchet.db.schema import PREDICTION_LOG, upgrade
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.prediction_log.records import (
    COMPARED_FIELDS,
    FeedbackOutcome,
    FeedbackRecord,
    LogRecord,
    PredictionRecord,
)
from ratchet.prediction_log.sinks.base import WriteResult
from ratchet.prediction_log.watchdog import ConnectionWatchdog

metadata = sa.MetaData()

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("label", sa.SmallInteger, nullable=False),
    sa.Column("probability", sa.Double, nullable=False),
    sa.Column("title_length", sa.Integer, nullable=False),
    sa.Column("text_length", sa.Integer, nullable=False),
    sa.Column("terms", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("experiment", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("text", sa.Text),
    sa.Index(
        "predictions_at", "at", postgresql_using="brin"
    ),  # takes a few KB, because rows are almost in the order of time
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("label", sa.SmallInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

STATEMENT_ROWS = 1_000
TIMEOUT_SECONDS = 3
"""Seconds to connect, and for a transaction. A request may be waiting, and the spool takes the rows instead."""

_ROWS = {
    "postgresql": "SELECT {columns} FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))",
    "sqlite": "VALUES ({values})",
}
_CONNECT_ARGS: dict[str, dict[str, Any]] = {
    "postgresql": {"connect_timeout": TIMEOUT_SECONDS},
    "sqlite": {"timeout": TIMEOUT_SECONDS},
}


class DatabaseSink:
    """A sink in Postgres, or in SQLite where everything is in one folder. It connects at the first write.

    All rows of a statement go to Postgres as one JSON text, which takes a tenth of the time of one parameter per value.
    Each statement commits by itself there, in one round trip instead of three, because in a busy process each round
    trip waits for the interpreter's lock. A write that fails between two statements is repeated as a whole.

    Raises ConfigurationError for a URL of another kind of database.
    """

    immediate = True

    def __init__(self, url: SecretStr) -> None:
        try:
            parsed = sa.make_url(url.get_secret_value())
            self.engine = sa.create_engine(parsed, connect_args=_CONNECT_ARGS[parsed.get_backend_name()])
        except (ArgumentError, ImportError, KeyError, NoSuchModuleError, ValueError) as error:  # ValueError: a bad port
            raise ConfigurationError(
                "RATCHET_SERVING_LOG names no Postgres (postgresql+psycopg://…), no SQLite, no folder and no bucket."
            ) from error
        options = {}
        if self.engine.dialect.name == "postgresql":
            sa.event.listen(self.engine, "connect", _require_durable_commits)
            options = {"isolation_level": "AUTOCOMMIT"}
        self._options: dict[str, Any] = options
        self._prepared, self._watchdog = False, ConnectionWatchdog(TIMEOUT_SECONDS)
        self._inserts = {table: _insert_statement(table, self.engine) for table in (predictions, feedback)}

    def check(self) -> None:
        """Return if the database responds. Raises ServiceUnavailable."""
        with self._connection() as connection:
            connection.exec_driver_sql("SELECT 1")

    def write(self, _: str, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]) -> WriteResult:
        """Store rows; they are committed when it returns. Raises ServiceUnavailable."""
        with self._connection() as connection:
            counts = [self._write_predictions(connection, rows) for rows in _chunks(predictions)]
            outcomes = [outcome for rows in _chunks(feedback) for outcome in self._write_feedback(connection, rows)]
        new, repeated, contradicting = (sum(each) for each in zip((0, 0, 0), *counts, strict=True))
        return WriteResult(new, repeated, contradicting, outcomes)

    def close(self) -> None:
        """Close all connections."""
        self._watchdog.close()
        self.engine.dispose()

    def _write_predictions(self, connection: sa.Connection, rows: Sequence[PredictionRecord]) -> tuple[int, int, int]:
        """Insert rows; returns how many were new, repeated and contradicting."""
        ordered = sorted(rows, key=lambda row: row.identity)
        new = self._insert(connection, predictions, ordered)
        if new == len(rows):
            return new, 0, 0
        columns = [predictions.c[name] for name in ("prediction_id", "arm", *COMPARED_FIELDS, "probability")]
        of_these = predictions.c.prediction_id.in_({row.prediction_id for row in rows})
        stored = {
            (each.prediction_id, each.arm): each for each in connection.execute(sa.select(*columns).where(of_these))
        }
        contradicting = sum(not row.is_repeat_of(stored[row.identity]) for row in rows)
        return new, len(rows) - new - contradicting, contradicting

    def _write_feedback(self, connection: sa.Connection, rows: Sequence[FeedbackRecord]) -> list[FeedbackOutcome]:
        """Insert labels; returns what was done with each."""
        ids = {row.prediction_id for row in rows}
        before = _stored_labels(connection, ids)
        ordered = sorted(rows, key=lambda row: row.prediction_id)
        self._insert(connection, feedback, ordered)
        stored = _stored_labels(connection, ids)
        query = sa.select(predictions.c.prediction_id).where(predictions.c.prediction_id.in_(ids))
        predicted, outcomes = set(connection.scalars(query)), list[FeedbackOutcome]()
        for row in rows:
            if stored[row.prediction_id] != row.label:
                outcomes.append("contradicts")
            elif row.prediction_id not in predicted:
                outcomes.append("unknown prediction")
            else:
                outcomes.append("known" if row.prediction_id in before else "added")
            before[row.prediction_id] = row.label
        return outcomes

    def _insert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[LogRecord]) -> int:
        """Insert the rows whose key is not stored yet, and return how many.

        Rows are in the order of their keys, so that two writers do not deadlock.
        """
        fields = [row.to_fields() for row in rows]
        parameters: Any = {"rows": json.dumps(fields)} if self.engine.dialect.name == "postgresql" else fields
        return connection.execute(self._inserts[table], parameters).rowcount

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A connection to existing tables. What is executed on it is durable when the block has ended."""
        try:
            if not self._prepared:
                with self.engine.connect() as connection, self._time_limit(connection), connection.begin():
                    upgrade(connection, PREDICTION_LOG)
                self._prepared = True
            connected = self.engine.connect().execution_options(**self._options)
            with connected as connection, self._time_limit(connection), connection.begin():
                yield connection
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            where = self.engine.url.render_as_string(hide_password=True)
            # Only the first line of the driver's message: the lines after it may quote a row.
            message, _, _ = str(getattr(error, "orig", error)).strip().partition("\n")
            raise ServiceUnavailable(
                f"The prediction log at {where} did not take rows: {message}. Check that the database is up."
            ) from error

    def _time_limit(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """The watchdog's limit for Postgres; SQLite has a timeout of its own."""
        if self.engine.dialect.name == "sqlite":
            return nullcontext()
        driver_connection: Any = connection.connection.driver_connection
        return self._watchdog.limit(driver_connection.fileno())


def _require_durable_commits(connection: Any, _: object) -> None:
    """Make a commit wait for the disk, also if the database's default is another."""
    connection.execute("SET synchronous_commit = on")
    connection.commit()


def _insert_statement(table: sa.Table, engine: sa.Engine) -> sa.TextClause:
    """An INSERT that skips rows whose key is taken, by an earlier row of the statement or by a stored one."""
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    values = ", ".join(f":{column.name}" for column in table.columns)
    rows = _ROWS[engine.dialect.name].format(columns=columns, values=values, table=table.name)
    return sa.text(f"INSERT INTO {table.name} ({columns}) {rows} ON CONFLICT DO NOTHING")


def _stored_labels(connection: sa.Connection, ids: set[str]) -> dict[str, int]:
    """The stored labels of some predictions, by prediction_id."""
    columns = feedback.c.prediction_id, feedback.c.label
    rows = connection.execute(sa.select(*columns).where(feedback.c.prediction_id.in_(ids)))
    return {row.prediction_id: row.label for row in rows}


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[first : first + STATEMENT_ROWS] for first in range(0, len(rows), STATEMENT_ROWS))
