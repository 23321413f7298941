"""The prediction log in a database, beside the ledger unless told otherwise: `predictions` and `feedback`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ratchet import append_only
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.monitoring.feedback import Feedback, Outcome
from ratchet.monitoring.predictions import SAME, Prediction
from ratchet.monitoring.sinks import Written

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
PATIENCE_SECONDS = 3  # for each step; a request may be waiting, and the spool is there

_FROM = {
    "postgresql": "SELECT {columns} FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))",
    "sqlite": "SELECT {values} FROM json_each(:rows) WHERE true",
}
_CONNECT = {
    "postgresql": {"connect_timeout": PATIENCE_SECONDS, "tcp_user_timeout": PATIENCE_SECONDS * 1000},
    "sqlite": {"timeout": PATIENCE_SECONDS},
}


class Tables:
    """A sink in Postgres, or in SQLite where everything lives in one folder. Both are asked when rows come, not before.

    All rows of a statement travel as one JSON text, which takes a tenth of the time of one parameter for each value.
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
        self._prepared = False
        self._add_prediction, self._add_feedback = (_insert(table, self.engine) for table in (predictions, feedback))

    def check(self) -> None:
        with self._transaction() as connection:
            connection.exec_driver_sql("SELECT 1")

    def write(self, name: str, predictions: list[Prediction], feedback: list[Feedback]) -> Written:
        with self._transaction() as connection:
            found = [self._predict(connection, rows) for rows in _parts(predictions)]
            outcomes = [outcome for rows in _parts(feedback) for outcome in self._tell(connection, rows)]
        new, repeated, contradicting = (sum(each) for each in zip((0, 0, 0), *found, strict=True))
        return Written(new, repeated, contradicting, outcomes)

    def close(self) -> None:
        self.engine.dispose()

    def _predict(self, connection: sa.Connection, rows: Sequence[Prediction]) -> tuple[int, int, int]:
        """How many were new, how many were there, and of how many there was another one."""
        firsts: dict[tuple[str, str], Any] = {}
        for row in rows:
            firsts.setdefault(row.identity, row)
        added = self._added(connection, self._add_prediction, firsts)
        columns = [predictions.c[name] for name in ("prediction_id", "arm", *SAME, "probability")]
        before = [identity[0] for identity in firsts if identity not in added]
        if before:
            known = connection.execute(sa.select(*columns).where(predictions.c.prediction_id.in_(before)))
            firsts |= {identity: each for each in known if (identity := (each.prediction_id, each.arm)) not in added}
        repeated = sum(row.same(firsts[row.identity]) for row in rows) - len(added)
        return len(added), repeated, len(rows) - len(added) - repeated

    def _tell(self, connection: sa.Connection, rows: Sequence[Feedback]) -> list[Outcome]:
        """What became of each label."""
        firsts: dict[tuple[str], Any] = {}
        for row in rows:
            firsts.setdefault((row.prediction_id,), row)
        added = self._added(connection, self._add_feedback, firsts)
        told = [row.prediction_id for row in rows]
        labels = connection.execute(sa.select(feedback).where(feedback.c.prediction_id.in_(told)))
        stays = {each.prediction_id: each.label for each in labels}
        answered = sa.select(predictions.c.prediction_id).where(predictions.c.prediction_id.in_(told))
        found = set(connection.scalars(answered))

        def outcome(row: Feedback) -> Outcome:
            if stays[row.prediction_id] != row.label:
                return "contradicts"
            if row.prediction_id not in found:
                return "unknown prediction"
            return "added" if firsts[(row.prediction_id,)] is row and (row.prediction_id,) in added else "known"

        return [outcome(row) for row in rows]

    def _added(self, connection: sa.Connection, insert: sa.TextClause, rows: dict[Any, Any]) -> set[Any]:
        """Add the rows whose key is free, and return their keys. In the order of keys, so that no two deadlock."""
        content = json.dumps([rows[key].fields() for key in sorted(rows)])
        return {tuple(row) for row in connection.execute(insert, {"rows": content})}

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """A transaction on tables that are there. It is committed, and durable, when the block has ended."""
        try:
            if not self._prepared:
                with self.engine.begin() as connection:
                    append_only.create(connection, metadata, [predictions, feedback], "prediction log")
                self._prepared = True
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            said = str(getattr(error, "orig", error)).strip().splitlines()[0]
            raise ServiceUnavailable(f"The prediction log at {where} did not take rows: {said}.") from error


def _promise(connection: Any, _: object) -> None:
    """Whatever the database's defaults are: a commit is on disk, and nobody waits for ever."""
    connection.execute(f"SET synchronous_commit = on; SET statement_timeout = '{PATIENCE_SECONDS}s'")
    connection.commit()


def _insert(table: sa.Table, engine: sa.Engine) -> sa.TextClause:
    """Add rows, given as a JSON array, but those whose key is taken; returns the keys of those added."""
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    values = ", ".join(f"json_extract(value, '$.{column.name}')" for column in table.columns)
    keys = ", ".join(column.name for column in table.primary_key)
    rows = _FROM[engine.dialect.name].format(columns=columns, values=values, table=table.name)
    return sa.text(f"INSERT INTO {table.name} ({columns}) {rows} ON CONFLICT DO NOTHING RETURNING {keys}")


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[first : first + ROWS] for first in range(0, len(rows), ROWS))
