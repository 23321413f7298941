"""A file of any size is read in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratchet.data.parquet import chunks

NOISE = np.random.default_rng(0).bytes(1 << 24).hex()  # 32 MiB that compression reduces to half at most


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """64 row groups of 8 rows, 64 KiB each."""
    texts = [NOISE[start : start + (1 << 16)] for start in range(0, len(NOISE), 1 << 16)]
    pq.write_table(pa.table({"number": range(len(texts)), "text": texts}), tmp_path / "file", row_group_size=8)
    return tmp_path / "file"


def test_rows_come_in_their_order(path: Path) -> None:
    """This holds for any number of rows at a time, with the requested columns."""
    found = list(chunks(path, 7, columns=["number"]))
    assert {len(chunk) for chunk in found[:-1]} == {7}
    assert pa.Table.from_batches(found).to_pydict() == {"number": list(range(512))}


def test_memory_of_earlier_rows_is_released(path: Path) -> None:
    """At the end of a file no more of it is in memory than at its beginning."""
    before, most = pa.total_allocated_bytes(), 0
    for _ in chunks(path, 8):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < path.stat().st_size / 4
