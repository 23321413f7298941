"""A Parquet file in chunks of rows, of which one is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1 << 16  # where nothing hangs on their number


def chunks(path: Path, rows: int = ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file in their order. Arrow's own default, `pre_buffer`, keeps all that was read until the end."""
    return pq.ParquetFile(path, pre_buffer=False).iter_batches(rows, columns=columns)
