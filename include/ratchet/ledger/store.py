"""The ledger: the champion, and every decision about it. Append-only.

A promotion is a compare-and-set: one transaction moves the champion's epoch, if it still is the expected one, and
appends the decision. MLflow's aliases have no compare-and-set, so the alias follows the ledger (`Registry.reconcile`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy.exc import IntegrityError as DuplicateRow
from sqlalchemy.exc import OperationalError, ProgrammingError

from ratchet.db.schema import LEDGER, upgrade
from ratchet.errors import ConfigurationError, LedgerError, ServiceUnavailable
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory

metadata = sa.MetaData()

champions = sa.Table(
    "champions",
    metadata,
    sa.Column("registered_model", sa.Text, primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("registered_model", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("entry", sa.JSON, nullable=False),
    sa.UniqueConstraint("registered_model", "subject"),
)

CONNECT_SECONDS = 10
"""psycopg's default is 130 seconds, in which an API does not start from its cache while the ledger is down."""

_REMEDY = {
    "postgresql": "Is Postgres up?",
    "sqlite": "Can its folder be written to, and does no other process hold the file?",
}

_FIRST_ROW = sa.text("INSERT INTO champions (registered_model, epoch) VALUES (:model, 0) ON CONFLICT DO NOTHING")


class Champion(BaseModel):
    """The version that serves now. `epoch` counts the changes; `version` is None before the first promotion."""

    model_config = ConfigDict(frozen=True)

    epoch: int = 0
    version: int | None = None


class Ledger:
    """The ledger in Postgres, or in a SQLite file where everything lives in one folder."""

    def __init__(self, url: SecretStr, registered_model: str) -> None:
        self.registered_model = registered_model
        parsed = sa.make_url(url.get_secret_value())
        self.engine = sa.create_engine(parsed, connect_args=_connect_arguments(parsed), pool_pre_ping=True)
        self._prepare()

    def _prepare(self) -> None:
        """Bring the database to the newest revision of its schema, in which decisions are append-only.

        Raises ConfigurationError if the role may not create or change tables.
        """
        try:
            with self._transaction() as connection:
                upgrade(connection, LEDGER)
        except ProgrammingError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            reason = str(error.orig).partition("\n")[0]
            raise ConfigurationError(
                f"The role of the ledger at {where} cannot make or change its tables: {reason}. Grant it CREATE on "
                "the schema, or run `ratchet migrate` as the tables' owner."
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            remedy = _REMEDY[self.engine.dialect.name]
            raise ServiceUnavailable(f"The ledger at {where} did not answer: {error.orig}. {remedy}") from error

    def champion(self) -> Champion:
        """The version that serves now; epoch 0 without a version before the first promotion."""
        with self._transaction() as connection:
            row = connection.execute(
                sa.select(champions.c.epoch, champions.c.version).where(
                    champions.c.registered_model == self.registered_model
                )
            ).first()
        return Champion(epoch=row.epoch, version=row.version) if row else Champion()

    def record(self, decision: Decision, expected: Champion) -> Decision:
        """Append a decision, and move the champion with it, if the champion is still the expected one.

        The same subject twice returns the first decision: a job that was killed after its commit converges.
        Raises LedgerError if another writer moved the champion in between; nothing is written then. Raises
        ServiceUnavailable if the database does not answer.
        """
        moves = decision.action != "keep"
        epoch = expected.epoch + moves
        entry = decision.model_copy(
            update={"epoch": epoch, "decided_at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        )
        try:
            with self._transaction() as connection:
                identity = connection.execute(
                    decisions.insert().values(
                        registered_model=self.registered_model,
                        epoch=epoch,
                        subject=decision.subject,
                        entry=entry.model_dump(mode="json", exclude={"id"}),
                    )
                ).inserted_primary_key[0]  # type: ignore[index]  # an insert of one row returns its key
                self._compare_and_set(connection, expected, epoch, decision.version if moves else expected.version)
        except DuplicateRow as error:
            first = self.find(decision.subject)
            if first is None:
                raise LedgerError(f"The ledger refused the decision on {decision.subject}: {error.orig}.") from error
            return first
        return entry.model_copy(update={"id": identity})

    def _compare_and_set(self, connection: sa.Connection, expected: Champion, epoch: int, version: int | None) -> None:
        """Move the champion's row from `expected` to the new epoch, or raise. The row lock orders all writers."""
        connection.execute(_FIRST_ROW, {"model": self.registered_model})
        moved = connection.execute(
            champions.update()
            .where(champions.c.registered_model == self.registered_model, champions.c.epoch == expected.epoch)
            .values(epoch=epoch, version=version)
        ).rowcount
        if moved != 1:
            raise LedgerError(
                f"The champion moved on from epoch {expected.epoch} (version {expected.version}) since this was "
                "evaluated. Nothing was changed. Evaluate with --force and decide again."
            )

    def history(self) -> DecisionHistory:
        """Every decision, oldest first."""
        return DecisionHistory(self._decisions(decisions.c.registered_model == self.registered_model))

    def find(self, subject: str) -> Decision | None:
        """The decision on a subject, if there is one."""
        here = decisions.c.registered_model == self.registered_model
        return next(iter(self._decisions(decisions.c.subject == subject, here)), None)

    def decision(self, identity: int) -> Decision:
        """The decision with this id. Raises LedgerError if there is none."""
        here = decisions.c.registered_model == self.registered_model
        found = self._decisions(decisions.c.id == identity, here)
        if not found:
            raise LedgerError(f"The ledger has no decision {identity}. `ratchet history` lists all of them.")
        return found[0]

    def _decisions(self, *conditions: sa.ColumnElement[bool]) -> list[Decision]:
        query = sa.select(decisions.c.id, decisions.c.entry).where(*conditions).order_by(decisions.c.id)
        with self._transaction() as connection:
            return [Decision.model_validate({**row.entry, "id": row.id}) for row in connection.execute(query)]


def _connect_arguments(url: sa.URL) -> dict[str, Any]:
    """The connection timeout for Postgres, unless the URL or the environment already sets one for libpq."""
    configured = "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ
    return {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() == "postgresql" and not configured else {}
