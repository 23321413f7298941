"""Tables that only ever grow, in Postgres or in a SQLite file: made once, and guarded against any other change."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

_LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(hashtext('ratchet ledger'))",
    "sqlite": "BEGIN IMMEDIATE",
}


def create(connection: sa.Connection, metadata: sa.MetaData, guarded: Sequence[sa.Table], name: str) -> None:
    """Create the tables and the guards of those that are append-only, all or nothing; two at once do not collide.

    Within a transaction of the caller, as its first statement. `name` says whose tables they are, as in `the ledger`.
    """
    dialect = connection.dialect.name
    connection.exec_driver_sql(_LOCK[dialect])
    if sa.inspect(connection).has_table(guarded[0].name):
        return
    metadata.create_all(connection)
    guards = _in_postgres if dialect == "postgresql" else _in_sqlite
    for statement in guards([table.name for table in guarded], name):
        connection.exec_driver_sql(statement)


def _in_postgres(tables: Sequence[str], name: str) -> list[str]:
    function = f"{name.replace(' ', '_')}_is_append_only()"
    return [
        f"""CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the {name} is append-only'; END $$""",
        *(
            f"""CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION {function}"""
            for table in tables
        ),
    ]


def _in_sqlite(tables: Sequence[str], name: str) -> list[str]:
    return [
        f"""CREATE TRIGGER {table}_append_only_{change} BEFORE {change} ON {table}
        BEGIN SELECT RAISE(ABORT, 'the {name} is append-only'); END"""
        for table in tables
        for change in ("update", "delete")
    ]
