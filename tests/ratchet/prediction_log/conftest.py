"""A Postgres for all tests of the prediction log, and an empty database of each kind for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from harness.prediction_log import Postgres, postgres_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(server: Postgres) -> SecretStr:
    """The URL of a database with an empty schema."""
    engine = sa.create_engine(server.url.get_secret_value(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return server.url


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path}/ledger.db")
    found: SecretStr = request.getfixturevalue("postgres_url")
    return found
