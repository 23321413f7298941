"""The kernel cache: a change in any source that holds a kernel voids all cached machine code."""

from __future__ import annotations

import importlib
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from ratchet.kernels import jit


def test_every_kernel_is_covered_by_the_stamp() -> None:
    """The sources are found by their text; every kernel that numba has must be in one of them."""
    root = jit.PACKAGE.parent
    sources = {path.resolve() for path in jit.kernel_sources()}
    modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in sources]
    kernels = {
        kernel: Path(kernel.py_func.__code__.co_filename).resolve()
        for name in modules
        for kernel in vars(importlib.import_module(name)).values()
        if isinstance(kernel, Dispatcher)
    }
    assert len(kernels) > 20
    assert set(kernels.values()) == sources
    assert sources < set(jit.stamped_sources())
    names = [kernel.__name__ for kernel in kernels]
    assert len(names) == len(set(names)), "a kernel compiled ahead is found by its name"


def test_the_code_of_intrinsics_is_covered_by_the_stamp() -> None:
    """numba puts it into the kernels that use it."""
    intrinsics = {path for path in jit.PACKAGE.rglob("*.py") if "\n@intrinsic\n" in path.read_text()}
    assert intrinsics
    assert intrinsics <= set(jit.stamped_sources())


def test_kernels_are_made_only_with_the_decorator_that_the_stamp_searches_for() -> None:
    """`njit` is used in one file only, and `compiled` only as a decorator on a line of its own."""
    for path in jit.PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "njit(" not in text or path.name == "jit.py", path
        uses = [line for line in text.splitlines() if "compiled" in line and line.lstrip().startswith("@")]
        assert all(line == "@compiled" for line in uses), path
