"""Reviews from a SQL table, through Airflow's own hook."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from local.processes import postgres
from orchestration.sql_extract import connection_to, extract
from ratchet.errors import ConfigurationError
from ratchet.jobs.base import JobContext
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings
from ratchet.sources.ingest import ingest


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with a table of three reviews, one of which has quotes and a newline."""
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
    """Kaggle's layout, all quoted, so that the ordinary ingest reads it."""
    uri = extract(settings_for(f"{database}&table=reviews", tmp_path), "seed")
    assert gzip.decompress(Path(uri).read_bytes()).decode() == (
        '"1","Bad","It broke."\n"2","Good","She said ""wow"",\nand so do I."\n"2","","Fine."\n'
    )


def test_what_was_extracted_can_be_ingested(database: str, tmp_path: Path) -> None:
    """The next task of the DAG takes the file from the store."""
    store = tmp_path / "store"
    uri = extract(settings_for(f"{database}&table=public.reviews", store), "seed")
    context = JobContext(open_storage(str(store)), "raw/seed", tmp_path)
    ingest(context, uri, "seed", tmp_path / "cache")
    assert context.details["files"] == {"train": {"name": "train.csv.gz", "form": "csv"}}


def test_extracting_again_keeps_the_file_that_stands(database: str, tmp_path: Path) -> None:
    """A week that is cleared sees the rows it saw the first time."""
    settings = settings_for(f"{database}&table=reviews", tmp_path)
    before = Path(extract(settings, "seed")).read_bytes()
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("INSERT INTO reviews VALUES (1, 'late', 'too late')")
    assert Path(extract(settings, "seed")).read_bytes() == before


def test_another_table_is_extracted_anew(database: str, tmp_path: Path) -> None:
    """The file is named after the table it came from."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE others AS SELECT 1 AS label, 'x' AS title, 'y' AS text")
    first = extract(settings_for(f"{database}&table=reviews", tmp_path), "seed")
    assert extract(settings_for(f"{database}&table=others", tmp_path), "seed") != first


def test_options_of_the_connection_are_kept_and_the_password_is_not_in_the_name(tmp_path: Path) -> None:
    """`sslmode=require` must not be lost on the way."""
    connection = connection_to("postgresql+psycopg://me:hunter2@db:5433/shop?table=reviews&sslmode=require")
    assert (connection.host, connection.port, connection.schema) == ("db", 5433, "shop")
    assert connection.extra_dejson == {"sslmode": "require"}


def test_a_source_without_a_table_is_refused(database: str, tmp_path: Path) -> None:
    """The message shows the form that is expected."""
    with pytest.raises(ConfigurationError, match=r"\?table=reviews"):
        extract(settings_for(database, tmp_path), "seed")


def test_a_tables_name_cannot_smuggle_in_sql(database: str, tmp_path: Path) -> None:
    """It is an identifier, quoted as such."""
    hostile = f"{database}&table=reviews; DROP TABLE reviews"
    with pytest.raises(psycopg.errors.UndefinedTable):
        extract(settings_for(hostile, tmp_path), "seed")
