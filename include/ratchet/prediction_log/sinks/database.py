"""The prediction log in a database, beside the ledger unless told otherwise: `predictions` and `feedback`."""

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
from ratchet.prediction_log.feedback import Feedback, Outcome
from ratchet.prediction_log.predictions import SAME, Prediction
from ratchet.prediction_log.rows import Row
from ratchet.prediction_log.sinks.base import Written
from ratchet.prediction_log.watchdog import Watch

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
    sa.Index("predictions_at", "at", postgresql_using="brin"),  # some KB: rows lie almost in the order of time
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("prediction_id", sa.Text, primary_key=True),
    sa.Column("label", sa.SmallInteger, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)

ROWS = 1_000  # of one statement
PATIENCE_SECONDS = 3  # to connect, and for a transaction; a request may be waiting, and the spool is there

_ROWS = {
    "postgresql": "SELECT {columns} FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))",
    "sqlite": "VALUES ({values})",
}
_CONNECT = {
    "postgresql": {"connect_timeout": PATIENCE_SECONDS},
    "sqlite": {"timeout": PATIENCE_SECONDS},
}


class Tables:
    """A sink in Postgres, or in SQLite where everything lives in one folder. Both are asked when rows come, not before.

    All rows of a statement go to Postgres as one JSON text, in a tenth of the time of one parameter for each value.
    Each statement commits there by itself, in one round trip instead of three: after each, a busy process gets its turn
    late. Who fails between two of them writes all again.
    """

    immediate = True

    def __init__(self, url: SecretStr) -> None:
        try:
            parsed = sa.make_url(url.get_secret_value())
            self.engine = sa.create_engine(parsed, connect_args=_CONNECT[parsed.get_backend_name()])
        except (ArgumentError, ImportError, KeyError, NoSuchModuleError) as error:
            raise ConfigurationError(
                "RATCHET_SERVING_LOG names no Postgres (postgresql+psycopg://…), no SQLite, no folder and no bucket."
            ) from error
        if self.engine.dialect.name == "postgresql":
            sa.event.listen(self.engine, "connect", _promise)
        self._autocommit = {"isolation_level": "AUTOCOMMIT"} if self.engine.dialect.name == "postgresql" else {}
        self._prepared, self._watch = False, Watch(PATIENCE_SECONDS)
        self._inserts = {table: _insert(table, self.engine) for table in (predictions, feedback)}

    def check(self) -> None:
        with self._committed() as connection:
            connection.exec_driver_sql("SELECT 1")

    def write(self, name: str, predictions: list[Prediction], feedback: list[Feedback]) -> Written:
        with self._committed() as connection:
            found = [self._predict(connection, rows) for rows in _parts(predictions)]
            outcomes = [outcome for rows in _parts(feedback) for outcome in self._tell(connection, rows)]
        new, repeated, contradicting = (sum(each) for each in zip((0, 0, 0), *found, strict=True))
        return Written(new, repeated, contradicting, outcomes)

    def close(self) -> None:
        self._watch.close()
        self.engine.dispose()

    def _predict(self, connection: sa.Connection, rows: Sequence[Prediction]) -> tuple[int, int, int]:
        """How many were new, how many were there, and of how many there was another one."""
        new = self._add(connection, predictions, sorted(rows, key=lambda row: row.identity))
        if new == len(rows):
            return new, 0, 0
        columns = [predictions.c[name] for name in ("prediction_id", "arm", *SAME, "probability")]
        asked = predictions.c.prediction_id.in_({row.prediction_id for row in rows})
        found = {(each.prediction_id, each.arm): each for each in connection.execute(sa.select(*columns).where(asked))}
        contradicting = sum(not row.same(found[row.identity]) for row in rows)
        return new, len(rows) - new - contradicting, contradicting

    def _tell(self, connection: sa.Connection, rows: Sequence[Feedback]) -> list[Outcome]:
        """What became of each label."""
        told = {row.prediction_id for row in rows}
        before = _labels(connection, told)
        self._add(connection, feedback, sorted(rows, key=lambda row: row.prediction_id))
        stays = _labels(connection, told)
        answered = sa.select(predictions.c.prediction_id).where(predictions.c.prediction_id.in_(told))
        found, outcomes = set(connection.scalars(answered)), list[Outcome]()
        for row in rows:
            if stays[row.prediction_id] != row.label:
                outcomes.append("contradicts")
            elif row.prediction_id not in found:
                outcomes.append("unknown prediction")
            else:
                outcomes.append("known" if row.prediction_id in before else "added")
            before[row.prediction_id] = row.label
        return outcomes

    def _add(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> int:
        """Add the rows whose key is free, and return how many. They come in the order of keys, lest two deadlock."""
        fields = [row.fields() for row in rows]
        given = {"rows": json.dumps(fields)} if self.engine.dialect.name == "postgresql" else fields
        return connection.execute(self._inserts[table], given).rowcount

    @contextmanager
    def _committed(self) -> Iterator[sa.Connection]:
        """A connection to tables that are there. What was done on it is durable when the block has ended."""
        try:
            if not self._prepared:
                with self.engine.connect() as connection, self._watched(connection), connection.begin():
                    upgrade(connection, PREDICTION_LOG)
                self._prepared = True
            connected = self.engine.connect().execution_options(**self._autocommit)
            with connected as connection, self._watched(connection), connection.begin():
                yield connection
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            where = self.engine.url.render_as_string(hide_password=True)
            said, _, _ = str(getattr(error, "orig", error)).strip().partition("\n")  # what follows may quote a row
            raise ServiceUnavailable(f"The prediction log at {where} did not take rows: {said}.") from error

    def _watched(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """SQLite has a timeout of its own."""
        if self.engine.dialect.name == "sqlite":
            return nullcontext()
        return self._watch.over(connection.connection.driver_connection.fileno())


def _promise(connection: Any, _: object) -> None:
    """Whatever the database's default is: a commit is on disk."""
    connection.execute("SET synchronous_commit = on")
    connection.commit()


def _insert(table: sa.Table, engine: sa.Engine) -> sa.TextClause:
    """Add rows but those whose key is taken, by an earlier one of them or one that was there."""
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    values = ", ".join(f":{column.name}" for column in table.columns)
    rows = _ROWS[engine.dialect.name].format(columns=columns, values=values, table=table.name)
    return sa.text(f"INSERT INTO {table.name} ({columns}) {rows} ON CONFLICT DO NOTHING")


def _labels(connection: sa.Connection, told: set[str]) -> dict[str, int]:
    """The labels that are known, of some predictions."""
    columns = feedback.c.prediction_id, feedback.c.label
    known = connection.execute(sa.select(*columns).where(feedback.c.prediction_id.in_(told)))
    return {row.prediction_id: row.label for row in known}


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[first : first + ROWS] for first in range(0, len(rows), ROWS))
