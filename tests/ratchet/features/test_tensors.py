"""Mapped tensors: they are read as they were written, and leave the memory when they are released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from ratchet.features.tensors import mapped, release

MIB = 1 << 20


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux reports how much of a process is mapped files")
def test_released_pages_take_no_memory_and_are_read_again(tmp_path: Path) -> None:
    """64 MiB of a file count to this process once they were read, and no longer after their release."""
    process, written = psutil.Process(), np.arange(8 * MIB, dtype=np.int64)
    save_file({"first": written[:1], "second": written}, tmp_path / "tensors")
    found = mapped(tmp_path / "tensors")
    before = process.memory_info().shared
    assert found["second"].sum() == written.sum()
    assert process.memory_info().shared - before > 60 * MIB
    release(found["second"])
    assert process.memory_info().shared - before < 4 * MIB
    assert (found["second"] == written).all()


def test_an_array_that_is_not_mapped_keeps_its_values() -> None:
    """This holds also if only a view of it is released."""
    array = np.arange(10)
    release(array)
    release(array[3:])
    assert array.sum() == 45
