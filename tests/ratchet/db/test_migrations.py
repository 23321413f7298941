"""Databases of earlier code are brought to the newest revision, and keep every row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr

from harness.prediction_log import postgres_server
from ratchet.db.schema import LEDGER, PREDICTION_LOG, Schema, upgrade
from ratchet.ledger import store
from ratchet.ledger.store import Ledger
from ratchet.prediction_log.sinks import database
from ratchet.promotion.promote import replay

BEFORE = Path(__file__).parent / "before_migrations"
SCHEMAS = {LEDGER: store.metadata, PREDICTION_LOG: database.metadata}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretStr]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server.url


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path}/ledger.db")
    server: SecretStr = request.getfixturevalue("server")
    engine = sa.create_engine(server.get_secret_value())
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return server


@pytest.fixture
def engine(url: SecretStr) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url.get_secret_value())
    yield engine
    engine.dispose()


def made_before(engine: sa.Engine, name: str) -> None:
    """Create the tables by the statements that the code before migrations sent."""
    statements = (BEFORE / f"{name}.{engine.dialect.name}.sql").read_text().split("\n--\n")
    with engine.begin() as connection:
        for statement in filter(str.strip, statements):
            connection.exec_driver_sql(statement)


def with_rows(engine: sa.Engine) -> None:
    """Fill a ledger with the rows of a real history: promotions, a rejection, an approval, a rollback."""
    rows = json.loads((BEFORE / "ledger.json").read_text())
    with engine.begin() as connection:
        connection.execute(store.champions.insert(), rows["champions"])
        connection.execute(store.decisions.insert(), rows["decisions"])


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_an_empty_database_gets_the_tables_that_the_code_uses(engine: sa.Engine, schema: Schema) -> None:
    """The revisions and the tables that queries are made of do not drift apart."""
    with engine.begin() as connection:
        assert upgrade(connection, schema)[-1] == schema.head
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.version_table})
        names = {table.name for table in SCHEMAS[schema].sorted_tables}
        differences = [
            each for each in compare_metadata(context, SCHEMAS[schema]) if not _is_of_another_schema(each, names)
        ]
    assert differences == []


def _is_of_another_schema(difference: object, names: set[str]) -> bool:
    """Whether a table is there that these queries do not use, as alerts are not the ledger's."""
    return isinstance(difference, tuple) and difference[0] == "remove_table" and difference[1].name not in names


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_upgrading_again_does_nothing(engine: sa.Engine, schema: Schema) -> None:
    with engine.begin() as connection:
        upgrade(connection, schema)
    with engine.begin() as connection:
        assert upgrade(connection, schema) == []
        assert schema.revision(connection) == schema.head


def test_a_ledger_of_earlier_code_keeps_its_rows_and_every_decision_replays(engine: sa.Engine, url: SecretStr) -> None:
    """All seven decisions are read, and those of the gate follow from their evidence as they did."""
    made_before(engine, "ledger")
    with_rows(engine)
    ledger = Ledger(url, "review-sentiment")
    history = list(ledger.history())
    assert [decision.action for decision in history] == [
        "promote", "promote", "keep", "keep", "keep", "rollback", "promote",
    ]  # fmt: skip
    assert ledger.champion() == store.Champion(epoch=4, version=4)
    replayed = [replay(decision)[1] for decision in history if decision.action != "rollback"]
    assert replayed == [True] * 6
    with engine.connect() as connection:
        assert LEDGER.revision(connection) == LEDGER.head
        assert sa.inspect(connection).has_table("alerts")
    ledger.engine.dispose()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_tables_of_earlier_code_stay_append_only(engine: sa.Engine, schema: Schema) -> None:
    """An upgrade keeps the triggers."""
    made_before(engine, schema.name)
    table = {"ledger": "decisions", "prediction_log": "feedback"}[schema.name]
    row = {
        "ledger": {"registered_model": "m", "epoch": 1, "subject": "s", "entry": {}},
        "prediction_log": {"prediction_id": "p", "label": 1, "at": datetime.now(UTC)},
    }[schema.name]
    with engine.begin() as connection:
        upgrade(connection, schema)
        connection.execute(SCHEMAS[schema].tables[table].insert(), row)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")


def test_a_log_from_before_experiments_gets_their_column(engine: sa.Engine) -> None:
    """It has every table, so that code which only looks for tables would never add the column."""
    made_before(engine, "prediction_log")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE predictions DROP COLUMN experiment")
        connection.exec_driver_sql(
            "INSERT INTO predictions VALUES "
            "('p', 'champion', '2026-01-05 00:00:00', 1, 1, 0.9, 0, 4, 1, 'key', 0.1, NULL, NULL)"
        )
    with engine.begin() as connection:
        assert upgrade(connection, PREDICTION_LOG) == ["0002"]
        assert connection.scalar(sa.select(database.predictions.c.experiment)) == ""


def test_a_failed_upgrade_changes_nothing(engine: sa.Engine) -> None:
    """Killed before its commit, an upgrade leaves the database as it was, and the next one succeeds."""
    made_before(engine, "prediction_log")
    with engine.connect() as connection:
        transaction = connection.begin()
        upgrade(connection, PREDICTION_LOG)
        transaction.rollback()
    with engine.begin() as connection:
        assert PREDICTION_LOG.revision(connection) is None
        upgrade(connection, PREDICTION_LOG)
        assert PREDICTION_LOG.revision(connection) == PREDICTION_LOG.head


def test_several_processes_that_start_at_once_upgrade_once(engine: sa.Engine, url: SecretStr) -> None:
    """Each sees a ledger that it can use; the lock lets one of them upgrade it."""
    made_before(engine, "ledger")

    def start(_: int) -> store.Champion:
        return Ledger(url, "review-sentiment").champion()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [store.Champion()] * 6
    with engine.connect() as connection:
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {LEDGER.version_table}")) == 1


def test_a_database_that_is_newer_than_the_code_is_used_as_it_is(engine: sa.Engine) -> None:
    """A release can therefore be rolled back after its migration."""
    with engine.begin() as connection:
        upgrade(connection, LEDGER)
        connection.exec_driver_sql(f"UPDATE {LEDGER.version_table} SET version_num = '9999'")
    with engine.begin() as connection:
        assert upgrade(connection, LEDGER) == []
        assert LEDGER.revision(connection) == "9999"
