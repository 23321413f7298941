"""The decorator that compiles a kernel, and slices of rows on all cores.

Where numba is installed, kernels are compiled just in time (`ratchet.kernels.jit`). An image without numba has the
module `ratchet.kernels._ahead`, which `python -m ratchet.cli.compile_kernels --ahead` compiled when it was built.
"""

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
    from ratchet.kernels import _ahead  # type: ignore[attr-defined]  # exists in images without numba only

    def compiled(function: Callable[..., Any]) -> Any:
        """The machine code of a kernel, by its name; a kernel that was not compiled ahead stays a Python function."""
        return getattr(_ahead, function.__name__, function)


__all__ = ["compiled", "in_slices"]


def in_slices(function: Callable[[int, int], Any], rows: int, size: int) -> list[Any]:
    """Call `function(first, last)` for every slice of `size` rows, on all cores; the last slice may be shorter.

    Returns the results in the order of the slices, for any number of cores. Kernels release the interpreter's lock,
    so that threads are enough. An exception of one slice is raised here.
    """
    slices = [(first, min(first + size, rows)) for first in range(0, rows, size)]
    if len(slices) < 2 or (threads := cpu_count() or 1) < 2:
        return [function(*each) for each in slices]
    return list(_pool(threads, getpid()).map(lambda each: function(*each), slices))


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """One pool for all calls, because starting threads takes as long as many of the slices.

    The process id is part of the key: a forked process inherits the memory of a pool without its threads.
    """
    return ThreadPoolExecutor(threads, thread_name_prefix="slices")
