"""Writes the rows of one big file into several files in a new order, by a bucket sort on disk.

Only a chunk of rows is in memory at a time (external sorting: Knuth, The Art of Computer Programming 3, section 5.4).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from ratchet.data.parquet import chunks
from ratchet.data.schemas import BATCH, REVIEW, create

log = structlog.get_logger()

CHUNK_ROWS = 50_000  # rows in memory at a time, and in a row group: about 25 MiB of reviews

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Destination:
    """A file to write, and the rows of the source that it gets.

    `rows` (n,) are row numbers of the source in the order of the new file, `parts` (n,) the value of its column `part`.
    """

    path: Path
    rows: Rows
    parts: pa.StringArray


def distribute(source: Path, destinations: Sequence[Destination]) -> None:
    """Write the reviews in `source` (schema REVIEW) to their destinations (schema BATCH).

    A bucket holds the rows of one chunk of a destination. One pass over the source writes each row into its bucket, a
    file beside the destination; then every bucket is read, sorted and written to the destination.
    """
    buckets = [
        (destination.path.with_suffix(f".{start}.arrow"), destination.rows[start : start + CHUNK_ROWS])
        for destination in destinations
        for start in range(0, len(destination.rows), CHUNK_ROWS)
    ]
    _fill(source, buckets)
    filled = iter(buckets)
    for destination in destinations:
        with create(destination.path, BATCH) as writer:
            for start in range(0, len(destination.rows), CHUNK_ROWS):
                path, rows = next(filled)
                with pa.ipc.open_file(path) as bucket:
                    reviews = bucket.read_all()
                path.unlink()
                reviews = reviews.take(np.searchsorted(np.sort(rows), rows))  # a bucket has the source's order
                write(writer, reviews, destination.parts[start : start + len(rows)])


def write(writer: pq.ParquetWriter, reviews: pa.Table, parts: pa.StringArray) -> None:
    """Write the next chunk of a batch: its reviews (schema REVIEW) with the part of each."""
    writer.write_table(reviews.append_column(BATCH.field("part"), parts))


def _fill(source: Path, buckets: Sequence[tuple[Path, Rows]]) -> None:
    bucket_of = np.full(pq.read_metadata(source).num_rows, -1)  # -1: in no destination
    for number, (_, rows) in enumerate(buckets):
        bucket_of[rows] = number
    start, logged = 0, time.monotonic()
    with ExitStack() as open_files:
        writers = [
            open_files.enter_context(pa.ipc.new_file(path, REVIEW, options=pa.ipc.IpcWriteOptions(compression="lz4")))
            for path, _ in buckets
        ]
        for chunk in chunks(source, CHUNK_ROWS):
            for number, places in _grouped(bucket_of[start : start + len(chunk)]):
                writers[number].write_batch(chunk.take(places))
            start += len(chunk)
            if time.monotonic() - logged > 5:
                logged = time.monotonic()
                log.info("sorting reviews into batches", rows=start, of=len(bucket_of))


def _grouped(numbers: Rows) -> Iterator[tuple[int, Rows]]:
    """The non-negative numbers, ascending, each with the positions where it occurs."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    for number, places in zip(found, np.split(order, starts[1:]), strict=True):
        if number >= 0:
            yield int(number), places
