"""Machine code from Python: just in time where numba is, and otherwise what was made ahead, for an image without it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from os import cpu_count, getpid
from typing import Any

if find_spec("numba"):
    from ratchet.kernels.jit import compiled
else:
    from ratchet import _kernels  # type: ignore[attr-defined]

    def compiled(function: Callable[..., Any]) -> Any:
        """The machine code that `ratchet.cli.ahead` made of a function; without any, the function itself."""
        return getattr(_kernels, function.__name__, function)


__all__ = ["compiled", "in_slices"]


def in_slices(work: Callable[[int, int], Any], rows: int, size: int) -> list[Any]:
    """`work(first, last)` on all slices of `size` rows, on all cores; results in their order, whatever the cores."""
    slices = [(first, min(first + size, rows)) for first in range(0, rows, size)]
    if len(slices) < 2 or (threads := cpu_count() or 1) < 2:
        return [work(*each) for each in slices]
    return list(_pool(threads, getpid()).map(lambda each: work(*each), slices))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One for all: to start threads takes as long as much of what they do. A forked process has none of them."""
    return ThreadPoolExecutor(threads, thread_name_prefix="slices")
