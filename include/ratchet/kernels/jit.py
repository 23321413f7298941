"""Kernels compiled just in time by numba, with a cache on disk beside their source.

numba does not read cached machine code from a folder that it cannot write to, and every folder of a hardened container
is read-only. This cache is read from any folder, is written where that is allowed, and where it can be neither, kernels
are compiled anew in each process. Compiling all of them takes some seconds, so the training image fills the cache when
it is built: `python -m ratchet.cli.compile_kernels`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator, UserProvidedCacheLocator

import ratchet

PACKAGE = Path(ratchet.__file__).parent


class _ConfiguredFolder(UserProvidedCacheLocator):
    """The folder that NUMBA_CACHE_DIR names."""

    def get_source_stamp(self) -> str:
        return _stamp()


class _BesideTheSource(InTreeCacheLocator):
    """The source's `__pycache__`, writable or not."""

    def ensure_cache_path(self) -> None:
        with suppress(OSError):
            super().ensure_cache_path()  # type: ignore[no-untyped-call]

    def get_source_stamp(self) -> str:
        return _stamp()


class _CacheFiles(CompileResultCacheImpl):
    _locator_classes = [_ConfiguredFolder, _BesideTheSource]  # noqa: RUF012 - numba's own form


class _Cache(FunctionCache):
    _impl_class = _CacheFiles

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # in a read-only folder the next process compiles again, which takes some seconds
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def kernel_sources() -> list[Path]:
    """The files of the package that hold kernels, sorted: those with a function under `@compiled`."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if b"\n@compiled\n" in path.read_bytes()]


def stamped_sources() -> list[Path]:
    """The files that cached machine code depends on, sorted: those with kernels, and all of this folder."""
    return sorted({*kernel_sources(), *Path(__file__).parent.glob("*.py")})


@cache
def _stamp() -> str:
    """SHA-256 over `stamped_sources`. Kernels call each other, so a change in any file voids the whole cache."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in stamped_sources())).hexdigest()


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and numbers at its first call. It runs without the interpreter's lock."""
    dispatcher: Any = njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _Cache(function)  # type: ignore[no-untyped-call]  # noqa: SLF001 - numba has no public way
    return dispatcher
