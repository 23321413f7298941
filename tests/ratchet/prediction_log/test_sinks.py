"""Sinks: rows are stored once and unchanged; the first row of an identity stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Literal

import boto3
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from harness.local_s3 import empty_bucket, endpoint
from harness.prediction_log import AT, in_files, in_tables, label_of, labels_in_tables, prediction
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.jobs.storage import FolderStorage, open_storage
from ratchet.ledger.store import Champion, Decision, Ledger
from ratchet.prediction_log.records import FeedbackOutcome, PredictionRecord
from ratchet.prediction_log.sinks.base import WriteResult
from ratchet.prediction_log.sinks.database import DatabaseSink
from ratchet.prediction_log.sinks.files import FileSink


@pytest.fixture
def tables(url: SecretStr) -> Iterator[DatabaseSink]:
    sink = DatabaseSink(url)
    yield sink
    sink.close()


def write(sink: DatabaseSink, *rows: PredictionRecord) -> WriteResult:
    return sink.write("", list(rows), [])


def test_rows_are_stored_unchanged(tables: DatabaseSink, url: SecretStr) -> None:
    """Every field, to the microsecond and the last digit, with text and without."""
    rows = [prediction("a"), prediction("b", title="Größe\n", text='"quoted", 没有 \\ :rows', probability=1 / 3)]
    assert write(tables, *rows).new == 2
    found = in_tables(url)
    assert [row.to_fields() | {"probability": 0} for row in found] == [
        row.to_fields() | {"probability": 0} for row in rows
    ]
    assert all(one.is_repeat_of(other) for one, other in zip(found, rows, strict=True))


def test_a_retry_is_one_row(tables: DatabaseSink, url: SecretStr) -> None:
    """The same prediction again, later or in the same write, changes nothing; it is counted as repeated."""
    first = prediction("a")
    again = prediction("a", at=AT + timedelta(seconds=9), seconds=0.5)
    assert write(tables, first, again) == WriteResult(1, 1, 0, [])
    assert write(tables, again, prediction("b"), again) == WriteResult(1, 2, 0, [])
    assert [(row.prediction_id, row.at) for row in in_tables(url)] == [("a", AT), ("b", AT)]


@pytest.mark.parametrize(
    "changes", [{"text_length": 99}, {"model_version": 4}, {"probability": 0.2, "label": 0}, {"terms": 1}]
)
def test_another_prediction_of_the_same_id_is_counted_and_dropped(
    tables: DatabaseSink, url: SecretStr, changes: dict[str, object]
) -> None:
    """The first row stays, whether the other is in the same write or in a later one."""
    assert write(tables, prediction("a"), prediction("a", **changes)) == WriteResult(1, 0, 1, [])
    assert write(tables, prediction("a", **changes)) == WriteResult(0, 0, 1, [])
    assert [row.to_fields() for row in in_tables(url)] == [prediction("a").to_fields()]


def test_each_arm_has_a_row_of_its_own(tables: DatabaseSink, url: SecretStr) -> None:
    """A review that the champion answers and the challenger scores in shadow mode has two rows."""
    assert write(tables, prediction("a"), prediction("a", arm="shadow", model_version=4)).new == 2
    assert [row.arm for row in in_tables(url)] == ["champion", "shadow"]


def test_thousands_of_rows_are_one_write(tables: DatabaseSink, url: SecretStr) -> None:
    """The rows of a spool may be many statements; writing them again adds none."""
    rows = [prediction(f"many-{number:04d}") for number in range(2_500)]
    assert write(tables, *rows) == WriteResult(2_500, 0, 0, [])
    assert write(tables, *rows) == WriteResult(0, 2_500, 0, [])
    assert len(in_tables(url)) == 2_500


def test_stored_rows_cannot_be_changed(tables: DatabaseSink, url: SecretStr) -> None:
    """Neither table allows updating or deleting a row."""
    tables.write("", [prediction("a")], [label_of("a", 1)])
    for table in ("predictions", "feedback"):
        for statement in (f"UPDATE {table} SET label = 0", f"DELETE FROM {table}"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), tables.engine.begin() as connection:
                connection.exec_driver_sql(statement)
    assert [row.label for row in in_tables(url)] == [1]


def test_several_writers_may_begin_at_once(url: SecretStr) -> None:
    """Four create the tables and write shared and own rows in different orders: none fails, every id has one row."""
    shared = [f"shared-{number}" for number in range(50)]

    def one(number: int) -> WriteResult:
        sink = DatabaseSink(url)
        try:
            own = [prediction(f"own-{number}-{each}") for each in range(50)]
            return write(sink, *own, *(prediction(each) for each in (shared if number % 2 else shared[::-1])))
        finally:
            sink.close()

    with ThreadPoolExecutor(4) as writers:
        written = list(writers.map(one, range(4)))
    assert sum(each.new for each in written) == len(in_tables(url)) == 250
    assert sum(each.repeated for each in written) == 150


def test_the_log_may_be_in_the_ledgers_database(tables: DatabaseSink, url: SecretStr) -> None:
    """Both are append-only, each with its own trigger."""
    write(tables, prediction("a"))
    ledger = Ledger(url, "review-sentiment")
    ledger.record(Decision(subject="0-0", action="keep", version=1, previous=None, reasons=["so"]), Champion())
    with pytest.raises(sa.exc.DBAPIError, match="ledger is append-only"), ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM decisions")
    ledger.engine.dispose()


def test_the_first_label_stays(tables: DatabaseSink, url: SecretStr) -> None:
    """Each label has an outcome; that of an unknown prediction is stored, because the prediction may arrive later."""
    write(tables, prediction("a"), prediction("b"))

    def outcomes(*labels: tuple[str, Literal[0, 1]]) -> list[FeedbackOutcome]:
        return tables.write("", [], [label_of(*each) for each in labels]).outcomes

    assert outcomes(("a", 1), ("c", 0)) == ["added", "unknown prediction"]
    assert outcomes(("a", 1), ("b", 0)) == ["known", "added"]
    assert outcomes(("b", 1), ("a", 1), ("c", 0)) == ["contradicts", "known", "unknown prediction"]
    write(tables, prediction("c"))
    assert outcomes(("c", 0), ("c", 1)) == ["known", "contradicts"]
    assert labels_in_tables(url) == {"a": 1, "b": 0, "c": 0}


def test_the_error_for_an_unavailable_database_contains_no_password() -> None:
    """The message names the host."""
    sink = DatabaseSink(SecretStr("postgresql+psycopg://me:hunter2@127.0.0.1:9/ratchet"))
    with pytest.raises(ServiceUnavailable, match="did not take rows") as caught:
        sink.check()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("odd", ["mysql://me@here/log", "no such://thing", "postgresql+nothing://x"])
def test_an_unsupported_url_is_a_configuration_error(odd: str) -> None:
    """It is raised at the start, not at the first row."""
    with pytest.raises(ConfigurationError, match="RATCHET_SERVING_LOG"):
        DatabaseSink(SecretStr(odd))


def test_files_are_partitioned_by_date_and_idempotent(tmp_path: Path) -> None:
    """Rows are under the date of their time; writing them again under the same name changes nothing."""
    sink = FileSink(FolderStorage(tmp_path))
    rows = [prediction("a"), prediction("b", at=AT + timedelta(days=1)), prediction("c")]
    for _ in range(2):
        assert sink.write("segment", rows, [label_of("a", 1)]).new == 3
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl")) == [
        "feedback/date=2026-01-05/segment.jsonl",
        "predictions/date=2026-01-05/segment.jsonl",
        "predictions/date=2026-01-06/segment.jsonl",
    ]
    assert in_files(tmp_path) == [rows[0], rows[2], rows[1]]


def test_a_folder_that_accepts_no_file_is_unavailable(tmp_path: Path) -> None:
    """ServiceUnavailable is raised, so that rows are spooled."""
    (tmp_path / "predictions").write_text("in the way")
    with pytest.raises(ServiceUnavailable, match="accepts no file"):
        FileSink(FolderStorage(tmp_path)).write("segment", [prediction()], [])


def test_a_bucket_stores_the_same_files(tmp_path: Path) -> None:
    """Checked against the local S3 emulator."""
    with endpoint(tmp_path) as address, empty_bucket(address) as bucket:
        row = prediction("a")
        sink = FileSink(open_storage(f"s3://{bucket}/log"))
        sink.check()
        sink.write("segment", [row], [])
        found = boto3.client("s3").get_object(Bucket=bucket, Key="log/predictions/date=2026-01-05/segment.jsonl")
        assert PredictionRecord.from_fields(json.loads(found["Body"].read())) == row
