"""The kernel cache: a change of any source that holds a kernel makes every kept result void."""

from __future__ import annotations

import importlib
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from ratchet.kernels import jit


def test_every_kernel_is_covered_by_the_stamp() -> None:
    """The sources are found by their text; the kernels that numba really has must all be in them."""
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


def test_no_kernel_is_made_past_the_decorator_that_the_stamp_looks_for() -> None:
    """`njit` stands in one file, and `compiled` is only ever used as a decorator on a line of its own."""
    for path in jit.PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "njit(" not in text or path.name == "jit.py", path
        uses = [line for line in text.splitlines() if "compiled" in line and line.lstrip().startswith("@")]
        assert all(line == "@compiled" for line in uses), path
