"""The ledger: who is champion, and every decision that was ever made about it. Append-only.

A promotion is a compare-and-set: one transaction moves the champion's epoch, if it still is the expected one, and
appends the decision. MLflow's aliases have no such thing, so the alias follows the ledger (`Registry.reconcile`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy.exc import IntegrityError as DuplicateRow
from sqlalchemy.exc import OperationalError

from ratchet.db.schema import LEDGER, upgrade
from ratchet.errors import LedgerError, ServiceUnavailable
from ratchet.ledger.approval import Answer

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
"""psycopg would take 130, and so long an API would not start from its cache while the ledger is away."""

_REMEDY = {
    "postgresql": "Is Postgres up?",
    "sqlite": "Can its folder be written to, and does no other process hold the file?",
}

_FIRST_ROW = sa.text("INSERT INTO champions (registered_model, epoch) VALUES (:model, 0) ON CONFLICT DO NOTHING")


class Champion(BaseModel):
    """Who serves now. `epoch` counts the changes; `version` is None before the first promotion."""

    model_config = ConfigDict(frozen=True)

    epoch: int = 0
    version: int | None = None


class Decision(BaseModel):
    """One row of the ledger: what was decided about which version, by whom, and on what evidence."""

    model_config = ConfigDict(frozen=True)

    id: int | None = None
    epoch: int = Field(0, description="The champion's epoch after this decision.")
    subject: str = Field(description="What was decided on; a second decision on the same subject is refused.")
    action: Literal["promote", "keep", "rollback"]
    version: int | None = Field(description="The model version judged or rolled back to; None if never registered.")
    previous: int | None = Field(description="The champion's version before.")
    window: str = ""
    candidate: str = ""
    reasons: list[str]
    evidence: dict[str, Any] = Field({}, description="Everything the verdict was computed from, with its policy.")
    decided_by: str = "the gate"
    answer: Answer | None = Field(None, description="What a person said to it; None if nobody was asked.")
    dag_run: str = ""
    code_version: str = ""
    decided_at: str = Field("", description="UTC, ISO 8601.")

    @property
    def champion(self) -> int | None:
        """The champion's version after this decision."""
        return self.previous if self.action == "keep" else self.version


class Ledger:
    """The ledger in Postgres, or in a SQLite file where everything lives in one folder."""

    def __init__(self, url: SecretStr, registered_model: str) -> None:
        self.registered_model = registered_model
        parsed = sa.make_url(url.get_secret_value())
        self.engine = sa.create_engine(parsed, connect_args=_patience(parsed), pool_pre_ping=True)
        self._prepare()

    def _prepare(self) -> None:
        """Bring the database to the newest revision of its schema, in which decisions are append-only."""
        with self._transaction() as connection:
            upgrade(connection, LEDGER)

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
        """Who serves now; epoch 0 without a version before the first promotion."""
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
        Raises LedgerError when somebody else moved the champion in between; nothing is written then.
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
                ).inserted_primary_key[0]
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

    def history(self) -> list[Decision]:
        """Every decision, oldest first."""
        return self._decisions(decisions.c.registered_model == self.registered_model)

    def find(self, subject: str) -> Decision | None:
        """The decision on a subject, if there is one."""
        here = decisions.c.registered_model == self.registered_model
        return next(iter(self._decisions(decisions.c.subject == subject, here)), None)

    def decision(self, identity: int) -> Decision:
        """The decision with this id. Raises LedgerError if there is none."""
        here = decisions.c.registered_model == self.registered_model
        found = self._decisions(decisions.c.id == identity, here)
        if not found:
            raise LedgerError(f"The ledger holds no decision {identity}. `ratchet history` lists all of them.")
        return found[0]

    def _decisions(self, *conditions: sa.ColumnElement[bool]) -> list[Decision]:
        query = sa.select(decisions.c.id, decisions.c.entry).where(*conditions).order_by(decisions.c.id)
        with self._transaction() as connection:
            return [Decision(id=row.id, **row.entry) for row in connection.execute(query)]


def _patience(url: sa.URL) -> dict[str, Any]:
    """How long to wait for a server that says nothing, unless its URL or the environment tells that to libpq."""
    told = "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ
    return {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() == "postgresql" and not told else {}


def withdrawn_in(history: Sequence[Decision], version: int | None) -> int | None:
    """The rollback that moved away from a version, unless a later one went back to it."""
    found = None
    for decision in history:
        if decision.action == "rollback" and version in (decision.version, decision.previous):
            found = decision.id if version == decision.previous else None
    return found


def rejected_in(history: Sequence[Decision], version: int | None) -> int | None:
    """The decision in which a person rejected a version, unless somebody approved of it later."""
    found = None
    for decision in history:
        if version is not None and decision.version == version and decision.answer:
            found = decision.id if decision.answer.says == "reject" else None
    return found
