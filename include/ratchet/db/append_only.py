"""Tables that only ever grow, in Postgres or in a SQLite file: triggers refuse every update and delete."""

from __future__ import annotations

from collections.abc import Sequence


def guards(dialect: str, tables: Sequence[str], name: str) -> list[str]:
    """The statements that make tables append-only. `name` is what their error message calls them, as in `ledger`."""
    return _in_postgres(tables, name) if dialect == "postgresql" else _in_sqlite(tables, name)


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
