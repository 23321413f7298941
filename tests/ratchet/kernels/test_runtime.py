"""Work in slices: the same results on any number of cores, and in a process that was forked."""

from __future__ import annotations

import multiprocessing

import pytest

from ratchet.kernels import runtime as compiled
from ratchet.kernels.runtime import in_slices


def squares(rows: int) -> list[int]:
    return in_slices(lambda first, last: sum(row * row for row in range(first, last)), rows, 10)


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_slices_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Ten at a time, and the last one shorter."""
    monkeypatch.setattr(compiled, "cpu_count", lambda: cores)
    assert squares(25) == [285, 2185, 2430]
    assert squares(0) == []


def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It inherits the memory of a pool, but none of its threads, and would wait for them for ever."""
    monkeypatch.setattr(compiled, "cpu_count", lambda: 2)
    expected = squares(100)
    with multiprocessing.get_context("fork").Pool(1) as forked:
        assert forked.apply_async(squares, [100]).get(timeout=30) == expected
