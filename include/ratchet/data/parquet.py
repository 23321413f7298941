"""A Parquet file in chunks of rows, of which one is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1 << 16  # where the result does not depend on the size of a chunk


def chunks(path: Path, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file in their order, `rows` at a time; of `columns` only, if given.

    Arrow's default, `pre_buffer`, is off: it keeps all that was read in memory until the end.
    """
    batches: Iterator[pa.RecordBatch] = pq.ParquetFile(path, pre_buffer=False).iter_batches(rows, columns=columns)
    return batches
