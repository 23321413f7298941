"""Slices of rows: the same results on any number of cores, and in a forked process."""

from __future__ import annotations

import multiprocessing

import pytest

from ratchet.kernels import runtime
from ratchet.kernels.runtime import in_slices


def squares(rows: int) -> list[int]:
    return in_slices(lambda first, last: sum(row * row for row in range(first, last)), rows, 10)


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_results_are_in_the_order_of_the_slices(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Slices have ten rows, and the last one fewer."""
    monkeypatch.setattr(runtime, "cpu_count", lambda: cores)
    assert squares(25) == [285, 2185, 2430]
    assert squares(0) == []


def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It inherits the memory of a pool without its threads, and would wait for them without end."""
    monkeypatch.setattr(runtime, "cpu_count", lambda: 2)
    expected = squares(100)
    with multiprocessing.get_context("fork").Pool(1) as forked:
        assert forked.apply_async(squares, [100]).get(timeout=30) == expected
