"""Mapped tensors: read as they are written, and out of memory again when they are let go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from ratchet.features.tensors import let_go, mapped

MIB = 1 << 20


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux says how much of a process is mapped files")
def test_what_is_let_go_takes_no_memory_and_is_read_again(tmp_path: Path) -> None:
    """64 MiB of a file count to this process once they were looked at, and no longer after that."""
    process, written = psutil.Process(), np.arange(8 * MIB, dtype=np.int64)
    save_file({"first": written[:1], "second": written}, tmp_path / "tensors")
    found = mapped(tmp_path / "tensors")
    before = process.memory_info().shared
    assert found["second"].sum() == written.sum()
    assert process.memory_info().shared - before > 60 * MIB
    let_go(found["second"])
    assert process.memory_info().shared - before < 4 * MIB
    assert (found["second"] == written).all()


def test_what_is_not_mapped_stays() -> None:
    """An array of this process alone, and a view of it."""
    array = np.arange(10)
    let_go(array)
    let_go(array[3:])
    assert array.sum() == 45
