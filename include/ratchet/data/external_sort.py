"""Rows of one big file into many files in a new order, a chunk in memory at a time: a bucket sort on the disk."""

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
class Share:
    """The rows of a file that go to `target`: their numbers in the order they are to have, and the part of each."""

    target: Path
    rows: Rows
    parts: pa.StringArray


def arrange(source: Path, shares: Sequence[Share]) -> None:
    """Write every share of the reviews in `source` (schema REVIEW) to its target (schema BATCH).

    The rows of a chunk to be written are a bucket. One pass over the source puts each row into the bucket it
    belongs to, a file beside the target; then every bucket is put in order and written.
    """
    buckets = [
        (share.target.with_suffix(f".{start}.arrow"), share.rows[start : start + CHUNK_ROWS])
        for share in shares
        for start in range(0, len(share.rows), CHUNK_ROWS)
    ]
    _fill(source, buckets)
    waiting = iter(buckets)
    for share in shares:
        with create(share.target, BATCH) as writer:
            for start in range(0, len(share.rows), CHUNK_ROWS):
                path, rows = next(waiting)
                with pa.ipc.open_file(path) as bucket:
                    reviews = bucket.read_all()
                path.unlink()
                reviews = reviews.take(np.searchsorted(np.sort(rows), rows))  # they came in the source's order
                write(writer, reviews, share.parts[start : start + len(rows)])


def write(writer: pq.ParquetWriter, reviews: pa.Table, parts: pa.StringArray) -> None:
    """The next chunk of a batch: its reviews (schema REVIEW) with the part of each."""
    writer.write_table(reviews.append_column(BATCH.field("part"), parts))


def _fill(source: Path, buckets: Sequence[tuple[Path, Rows]]) -> None:
    bucket_of = np.full(pq.read_metadata(source).num_rows, -1)  # -1: wanted in no share
    for number, (_, rows) in enumerate(buckets):
        bucket_of[rows] = number
    start, told = 0, time.monotonic()
    with ExitStack() as open_files:
        writers = [
            open_files.enter_context(pa.ipc.new_file(path, REVIEW, options=pa.ipc.IpcWriteOptions(compression="lz4")))
            for path, _ in buckets
        ]
        for chunk in chunks(source, CHUNK_ROWS):
            for number, places in _grouped(bucket_of[start : start + len(chunk)]):
                writers[number].write_batch(chunk.take(places))
            start += len(chunk)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                log.info("arranging reviews", rows=start, of=len(bucket_of))


def _grouped(numbers: Rows) -> Iterator[tuple[int, Rows]]:
    """The places of each number of 0 and above, in order."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    for number, places in zip(found, np.split(order, starts[1:]), strict=True):
        if number >= 0:
            yield int(number), places
