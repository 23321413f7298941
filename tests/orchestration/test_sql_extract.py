"""Reviews are copied from a SQL table through Airflow's own hook."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from local.processes import postgres
from orchestration.sql_extract import airflow_connection, extract
from ratchet.errors import ConfigurationError
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import SourceFile
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings
from ratchet.sources.ingest import ingest


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with a table of three reviews, one with quotes and a newline."""
    with postgres.running(tmp_path_factory.mktemp("postgres")) as databases:
        url = databases["ratchet"]
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE reviews (label int, title text, text text)")
            rows = [(1, "Bad", "It broke."), (2, "Good", 'She said "wow",\nand so do I.'), (2, "", "Fine.")]
            connection.cursor().executemany("INSERT INTO reviews VALUES (%s, %s, %s)", rows)
        yield url


def settings_for(source: str, store: Path) -> Settings:
    return Settings(store=str(store), source=SecretStr(source))


def test_a_table_becomes_one_csv_file_in_the_store(database: str, tmp_path: Path) -> None:
    """The file has Kaggle's layout, all quoted, which the ordinary ingest reads."""
    uri = extract(settings_for(f"{database}&table=reviews", tmp_path), "seed")
    assert gzip.decompress(Path(uri).read_bytes()).decode() == (
        '"1","Bad","It broke."\n"2","Good","She said ""wow"",\nand so do I."\n"2","","Fine."\n'
    )


def test_an_extracted_file_can_be_ingested(database: str, tmp_path: Path) -> None:
    """The next task of the DAG reads the file from the store."""
    store = tmp_path / "store"
    uri = extract(settings_for(f"{database}&table=public.reviews", store), "seed")
    context = JobContext(open_storage(str(store)), "raw/seed", tmp_path)
    ingest(context, uri, "seed", tmp_path / "cache")
    assert context.details.files == {"train": SourceFile(name="train.csv.gz", form="csv")}


def test_an_existing_file_is_not_extracted_again(database: str, tmp_path: Path) -> None:
    """A week that is cleared reads the same rows as the first time."""
    settings = settings_for(f"{database}&table=reviews", tmp_path)
    before = Path(extract(settings, "seed")).read_bytes()
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("INSERT INTO reviews VALUES (1, 'late', 'too late')")
    assert Path(extract(settings, "seed")).read_bytes() == before


def test_another_table_is_extracted_into_another_file(database: str, tmp_path: Path) -> None:
    """The name of the file depends on the table."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE others AS SELECT 1 AS label, 'x' AS title, 'y' AS text")
    first = extract(settings_for(f"{database}&table=reviews", tmp_path), "seed")
    assert extract(settings_for(f"{database}&table=others", tmp_path), "seed") != first


def test_options_of_the_connection_are_kept() -> None:
    """`sslmode=require` reaches Airflow's connection."""
    connection = airflow_connection("postgresql+psycopg://me:hunter2@db:5433/shop?table=reviews&sslmode=require")
    assert (connection.host, connection.port, connection.schema) == ("db", 5433, "shop")
    assert connection.extra_dejson == {"sslmode": "require"}


def test_a_source_without_a_table_is_refused(database: str, tmp_path: Path) -> None:
    """The message shows the expected form."""
    with pytest.raises(ConfigurationError, match=r"\?table=reviews"):
        extract(settings_for(database, tmp_path), "seed")


def test_a_table_name_cannot_inject_sql(database: str, tmp_path: Path) -> None:
    """The name is quoted as an identifier."""
    hostile = f"{database}&table=reviews; DROP TABLE reviews"
    with pytest.raises(psycopg.errors.UndefinedTable):
        extract(settings_for(hostile, tmp_path), "seed")
