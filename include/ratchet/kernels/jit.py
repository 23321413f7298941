"""Machine code just in time: numba, with its results kept beside the source, where a container's image can bring them.

numba refuses to read a kept result from a folder that it cannot write to, which is every folder of a hardened
container. Ours are read wherever they lie, kept where that is allowed, and made anew where neither holds.
Compiling all kernels takes some seconds, so an image makes them when it is built: `python -m ratchet.kernels.jit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator, UserProvidedCacheLocator
from numba.extending import intrinsic

import ratchet

PACKAGE = Path(ratchet.__file__).parent


class _Given(UserProvidedCacheLocator):
    """The folder NUMBA_CACHE_DIR. What is kept is void when any kernel has changed: they call each other."""

    def get_source_stamp(self) -> str:
        return _stamp()


class _BesideTheSource(InTreeCacheLocator):
    """`__pycache__`, writable or not."""

    def ensure_cache_path(self) -> None:
        with suppress(OSError):
            super().ensure_cache_path()

    def get_source_stamp(self) -> str:
        return _stamp()


class _Places(CompileResultCacheImpl):
    _locator_classes = [_Given, _BesideTheSource]  # noqa: RUF012 - numba's own form


class _Kept(FunctionCache):
    _impl_class = _Places

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # a read-only folder costs the next process some seconds, and nothing else
            super().save_overload(sig, data)


def kernel_sources() -> list[Path]:
    """The files of this package that hold kernels, in a fixed order: those with a function under `@compiled`."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if b"\n@compiled\n" in path.read_bytes()]


@cache
def _stamp() -> str:
    """SHA-256 over all sources of kernels and this file: whichever changes, every kept result is void."""
    sources = [Path(__file__), *kernel_sources()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and numbers at its first call. It runs without the interpreter's lock."""
    dispatcher = njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _Kept(function)
    return dispatcher


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:  # type: ignore[no-untyped-def]
    """Ask the processor to fetch `array[index]`, counted in the flattened array, while it computes something else."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(fetch, [place, number(0), number(3), number(1)])  # to be read, kept near, it is data
        return context.get_dummy_value()

    return types.void(array, index), generate


def main() -> None:
    """Run every kernel once, on next to nothing, so that its machine code is kept."""
    import numpy as np
    import pyarrow as pa

    from ratchet.candidates import CANDIDATES
    from ratchet.features.featurize import Features
    from ratchet.features.hashing import count_reviews
    from ratchet.training.fit import fit

    counts, nothing = count_reviews(pa.array([""] * 8), pa.array(["good one", "bad one"] * 4)), np.zeros(8)
    few = Features(counts, np.array([1, 0] * 4, dtype=np.int8), nothing, nothing)
    for candidate in CANDIDATES.values():
        fit(candidate, [few], [few], "0-0").model.read([""], ["good one"])


if __name__ == "__main__":
    main()
