"""`preprocess` by Spark: pieces of the raw files are parsed, checked and hashed in parallel; Spark finds duplicates.

The text never passes through Spark, only ids and line numbers do. The driver cuts the raw files into pieces; a task
reads its piece from the store and writes its result there; the driver joins the results, in order, a chunk at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ratchet.data import preprocess as local
from ratchet.data import records
from ratchet.data.earlier_batches import earlier_batches
from ratchet.data.preprocess import DUPLICATE, DUPLICATE_OF_EARLIER, DUPLICATE_OF_TEST, RowCounts
from ratchet.data.records import Row
from ratchet.data.review_ids import review_ids
from ratchet.data.schemas import QUARANTINE, REVIEW, create, review_id
from ratchet.data.spark.pieces import cut
from ratchet.data.spark.session import scratch, session, spread
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import IngestDetails, SourceFile
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.storage import Storage, open_storage, verified

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCH_ROWS = 5_000  # rows that a task has in memory at a time

TEST_SET, EARLIER = -2, -1  # in place of a file's number; the files of the delivery count from 0

PARSED = pa.schema(
    [
        pa.field("line", pa.int64()),
        pa.field("size", pa.int64()),  # characters of the row, as it was read
        *(field.with_nullable(True) for field in REVIEW),  # null if refused
        pa.field("reason", pa.string()),  # null if not
        pa.field("sample", pa.string()),
    ]
)

PLACES = pa.schema([("review_id", pa.string()), ("file", pa.int32()), ("line", pa.int64())])


@dataclass(frozen=True)
class Part:
    """A piece of a file in the store: `key` has its lines, and `parsed_key` the task's result (schema PARSED)."""

    file: int
    name: str
    form: str
    first: int
    key: str

    @property
    def parsed_key(self) -> str:
        """The key of the task's result."""
        return f"{self.key}.parsed"


def preprocess(context: JobContext, delivery: str) -> None:
    """The same outputs as `ratchet.data.preprocess.preprocess`, byte for byte, and the same errors.

    Raises ConfigurationError without Spark.
    """
    with session(f"preprocess {delivery}") as spark, scratch(context):
        raw = local.raw_manifest(context, delivery)
        earlier = earlier_batches(context, delivery)
        files = sorted(IngestDetails.of(raw).files.items())  # test, train
        parts = [
            part for number in range(len(files)) for part in _upload_pieces(context, raw, number, files[number][1])
        ]
        uri = context.storage.uri
        spread(spark, parts, partial(_parse, uri), pa.schema([("rows", pa.int64())])).collect()
        duplicates = _Duplicates(_duplicates(spark, uri, parts, earlier))
        counts = RowCounts()
        with create(context.folder / keys.QUARANTINE, QUARANTINE) as refusals:
            for number, (role, file) in enumerate(files):
                counts.add(file.name, 0, [], [])
                with create(context.folder / f"{role}.parquet", REVIEW) as reviews:
                    for chunk in _chunks(context.storage, [part for part in parts if part.file == number], duplicates):
                        accepted = chunk.filter(pc.is_null(chunk["reason"]))
                        refused = chunk.filter(pc.is_valid(chunk["reason"]))
                        if len(accepted):
                            reviews.write_table(accepted.select(REVIEW.names).cast(REVIEW))
                        columns = (refused[name].to_pylist() for name in ("line", "reason", "sample"))
                        rows = [records.Refusal(*row) for row in zip(*columns, strict=True)]
                        local.write(refusals, QUARANTINE, [(file.name, *row) for row in rows])
                        counts.add(file.name, len(chunk), accepted["label"].to_pylist(), rows)
        local.publish(context, counts, raw)


def _upload_pieces(context: JobContext, raw: Manifest, number: int, file: SourceFile) -> Iterator[Part]:
    """Put the pieces of a raw file into the store."""
    name, form = file.name, file.form
    with verified(context.storage, f"{raw.prefix}/{name}", raw.output(name).sha256) as path:
        for place, piece in enumerate(cut(path, name, form, context.folder)):
            part = Part(number, name, form, piece.first, keys.scratch(context.prefix, f"{name}.{place:06d}"))
            context.storage.upload(piece.path, part.key)
            yield part


def _parse(uri: str, part: Part) -> Iterator[pa.RecordBatch]:
    """Parse and check a piece, and write its rows (schema PARSED) into the store. Yields their number."""
    storage, count = open_storage(uri), 0
    with tempfile.TemporaryDirectory(prefix="ratchet-") as folder:
        path = Path(folder) / "parsed"
        with (
            storage.local(part.key) as lines,
            lines.open("rb") as file,
            pa.ipc.new_file(path, PARSED, options=pa.ipc.IpcWriteOptions(compression="lz4")) as parsed,
        ):
            rows = records.rows(file, part.name, part.form, part.first)
            while found := list(islice(rows, BATCH_ROWS)):
                parsed.write_batch(_checked(found))
                count += len(found)
        storage.upload(path, part.parsed_key)
    yield pa.record_batch({"rows": pa.array([count], pa.int64())})


def _checked(found: list[Row | records.Refusal]) -> pa.RecordBatch:
    """Rows and refusals with the schema PARSED; rows that are no reviews are refused."""
    parsed: list[tuple[Any, ...]] = []
    for row in found:
        size = local.size_of(row)
        if isinstance(row, Row):
            problem = records.content_problem(row)
            if problem is None:
                review = review_id(row.title, row.text), local.label_of(row), row.title, row.text
                parsed.append((row.line, size, *review, None, None))
                continue
            refusal = local.refuse(row, problem)
        else:
            refusal = row
        parsed.append((row.line, size, None, None, None, None, refusal.reason, refusal.sample))
    columns = zip(zip(*parsed, strict=True), PARSED.types, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(*column) for column in columns], schema=PARSED)


def _duplicates(spark: SparkSession, uri: str, parts: list[Part], earlier: dict[str, Output]) -> DataFrame:
    """The places (`file`, `line`) of duplicates, in order, with the file of the first such review: `first_file`."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sql

    fresh = spread(spark, parts, partial(_places, uri), PLACES)
    places = fresh.unionAll(spread(spark, list(earlier.items()), partial(_earlier_places, uri), PLACES))
    first = sql.min(sql.struct("file", "line")).over(Window.partitionBy("review_id"))
    again = (sql.col("file") >= 0) & (sql.struct("file", "line") != sql.col("first"))
    found = places.withColumn("first", first).where(again)
    return found.select("file", "line", sql.col("first.file").alias("first_file")).orderBy("file", "line")


def _places(uri: str, part: Part) -> Iterator[pa.RecordBatch]:
    with _opened(open_storage(uri), part) as parsed:
        for number in range(parsed.num_record_batches):
            batch = parsed.get_batch(number)
            batch = batch.filter(pc.is_null(batch["reason"]))
            file = pa.array(np.full(len(batch), part.file, np.int32))
            yield pa.RecordBatch.from_arrays([batch["review_id"], file, batch["line"]], schema=PLACES)


def _earlier_places(uri: str, batch: tuple[str, Output]) -> Iterator[pa.RecordBatch]:
    for ids in review_ids(open_storage(uri), *batch):
        file = np.full(len(ids), TEST_SET if batch[0] == keys.TEST else EARLIER, np.int32)
        yield pa.RecordBatch.from_arrays([ids, pa.array(file), pa.array(np.zeros(len(ids), np.int64))], schema=PLACES)


@contextmanager
def _opened(storage: Storage, part: Part) -> Iterator[pa.ipc.RecordBatchFileReader]:
    with storage.local(part.parsed_key) as path, pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as parsed:
        yield parsed


class _Duplicates:
    """The reasons for which duplicates are refused, read from Spark in the order of files and lines."""

    def __init__(self, found: DataFrame) -> None:
        self._rows = iter(found.toLocalIterator(prefetchPartitions=True))
        self._next = next(self._rows, None)

    def until(self, file: int, line: int) -> Iterator[tuple[int, str]]:
        """Line and reason of each duplicate that was not yet returned, up to this line of this file."""
        while self._next and (self._next.file, self._next.line) <= (file, line):
            yield self._next.line, reason(self._next.file, self._next.first_file)
            self._next = next(self._rows, None)


def reason(file: int, first_file: int) -> str:
    """The reason to refuse a review of a file whose first occurrence is in `first_file`."""
    if first_file == EARLIER:
        return DUPLICATE_OF_EARLIER
    return DUPLICATE if first_file == file else DUPLICATE_OF_TEST


def _chunks(storage: Storage, parts: list[Part], duplicates: _Duplicates) -> Iterator[pa.Table]:
    """The rows of a file (schema PARSED), duplicates refused, in the same chunks as the local engine's."""
    waiting: list[pa.RecordBatch] = []
    rows = characters = 0
    for part in parts:
        with _opened(storage, part) as parsed:
            for number in range(parsed.num_record_batches):
                batch = _without(parsed.get_batch(number), part.file, duplicates)
                start = 0
                for place, size in enumerate(batch["size"].to_pylist(), 1):
                    rows, characters = rows + 1, characters + size
                    if local.full(rows, characters):
                        yield _one([*waiting, batch.slice(start, place - start)])
                        waiting, start, rows, characters = [], place, 0, 0
                waiting.append(batch.slice(start))
    if rows:
        yield _one(waiting)


def _one(batches: list[pa.RecordBatch]) -> pa.Table:
    """Batches as one table of contiguous columns: other chunks would change the bytes that Parquet writes."""
    return pa.Table.from_batches(batches, PARSED).combine_chunks()


def _without(batch: pa.RecordBatch, file: int, duplicates: _Duplicates) -> pa.RecordBatch:
    """The batch with its duplicates refused."""
    lines = batch["line"].to_numpy()
    found = {int(np.searchsorted(lines, line)): why for line, why in duplicates.until(file, int(lines[-1]))}
    if not found:
        return batch
    reasons, samples = batch["reason"].to_pylist(), batch["sample"].to_pylist()
    for place, why in found.items():
        given = batch.slice(place, 1).to_pylist()[0]
        row = Row(given["line"], str(given["label"] + 1), given["title"], given["text"])
        _, reasons[place], samples[place] = local.refuse(row, why)
    batch = batch.set_column(PARSED.get_field_index("reason"), PARSED.field("reason"), pa.array(reasons, pa.string()))
    return batch.set_column(PARSED.get_field_index("sample"), PARSED.field("sample"), pa.array(samples, pa.string()))
