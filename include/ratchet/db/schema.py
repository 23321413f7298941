"""The schemas of the ledger and of the prediction log, and how a database is brought to their newest revision.

Each schema has its own Alembic history, because the two may lie in different databases. Revisions are numbered, and the
number of the one that a database has is in its version table. A database that was made before there were version
tables is recognised by its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
import structlog

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(hashtext('ratchet ledger'))",
    "sqlite": "BEGIN IMMEDIATE",
}
"""The lock of an upgrade: of several processes that start at once, one upgrades and the others wait."""


@dataclass(frozen=True)
class Schema:
    """One Alembic history. `unversioned` names the revision of a database that has no version table, None if empty."""

    name: str
    version_table: str
    unversioned: Callable[[sa.Inspector], str | None]

    @property
    def folder(self) -> Path:
        """The folder in which Alembic finds `env.py` and `versions/`."""
        return MIGRATIONS / self.name

    @cached_property
    def head(self) -> str:
        """The newest revision: file names begin with their number, so that Alembic need not be imported to know it."""
        return max(path.name[1:5] for path in self.folder.glob("versions/r*.py"))

    def revision(self, connection: sa.Connection) -> str | None:
        """The revision that the database has by its version table; None without one."""
        if not sa.inspect(connection).has_table(self.version_table):
            return None
        query = sa.select(sa.column("version_num", sa.Text)).select_from(sa.table(self.version_table))
        return connection.scalar(query)


def _ledger_revision(found: sa.Inspector) -> str | None:
    return "0001" if found.has_table("decisions") else None


def _prediction_log_revision(found: sa.Inspector) -> str | None:
    if not found.has_table("predictions"):
        return None
    return "0002" if any(column["name"] == "experiment" for column in found.get_columns("predictions")) else "0001"


LEDGER = Schema("ledger", "ratchet_ledger_revision", _ledger_revision)
PREDICTION_LOG = Schema("prediction_log", "ratchet_prediction_log_revision", _prediction_log_revision)


def upgrade(connection: sa.Connection, schema: Schema) -> list[str]:
    """Bring a database to the newest revision, all or nothing, and return the numbers of the revisions applied.

    Runs within a transaction of the caller, as its first statement. A database that is newer than this code is left as
    it is: revisions only add, so older code can go on with it.
    """
    if schema.revision(connection) == schema.head:
        return []
    connection.exec_driver_sql(LOCK[connection.dialect.name])
    found = schema.revision(connection)  # another process may have upgraded while this one waited
    if found is not None and found >= schema.head:
        if found > schema.head:
            log.warning("the database is newer than this code", schema=schema.name, revision=found, known=schema.head)
        return []
    return _apply(connection, schema, found)


def _apply(connection: sa.Connection, schema: Schema, found: str | None) -> list[str]:
    """Apply the revisions after `found`."""
    from alembic import command  # a tenth of a second, which only a database that is behind takes
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(schema.folder).replace("%", "%%"))
    config.attributes |= {"connection": connection, "version_table": schema.version_table}
    if found is None and (found := schema.unversioned(sa.inspect(connection))):
        command.stamp(config, found)
    missing = ScriptDirectory.from_config(config).iterate_revisions("head", found or "base")
    applied = sorted(each.revision for each in missing)
    command.upgrade(config, "head")
    return applied
