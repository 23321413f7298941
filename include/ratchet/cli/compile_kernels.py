"""Compiles all kernels when an image is built.

`python -m ratchet.cli.compile_kernels` fills numba's cache beside the source, for the training image.
`python -m ratchet.cli.compile_kernels --ahead FOLDER` writes the module `_ahead` into FOLDER, for the serving image: it
holds the kernels that read reviews and needs no numba, which saves 170 MB of numba and LLVM. It needs a C++ compiler
and setuptools.

`numba.pycc`, which writes that module, is pending deprecation, and numba is still developing its replacement:
https://numba.readthedocs.io/en/stable/reference/deprecation.html#deprecation-of-the-numba-pycc-module
numba's version is pinned, so pycc cannot disappear between two builds. When an update of numba removes it, use the
replacement that this page then names. If there is none, install numba in the serving image and fill its cache there as
in the training image; `ratchet.kernels.runtime` chooses by what is installed, so no other code changes.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ratchet.features import hashing
from ratchet.model import scoring

if TYPE_CHECKING:
    from numba.core.dispatcher import Dispatcher


def warm_cache() -> None:
    """Run every kernel once on eight short reviews, so that its machine code is in the cache."""
    import pyarrow as pa

    from ratchet.candidates import CANDIDATES, Candidate
    from ratchet.features.feature_files import Features
    from ratchet.training.fit import fit

    counts, zeros = hashing.count_reviews(pa.array([""] * 8), pa.array(["good one", "bad one"] * 4)), np.zeros(8)
    features = Features(counts, np.array([1, 0] * 4, dtype=np.int8), zeros, zeros)
    for candidate in [each for each in CANDIDATES.values() if isinstance(each, Candidate)]:  # others run no kernels
        fit(candidate, [features], [features], "0-0").model.read([""], ["good one"])


def compile_ahead(folder: str) -> None:
    """Write the module `_ahead` with the kernels that serving calls, each for the argument types of its calls.

    Loading a model and scoring a review compiles these kernels, which gives the argument types.
    """
    from numba.core.errors import NumbaPendingDeprecationWarning

    with warnings.catch_warnings():
        # numba warns at the import; the module's docstring explains how to replace pycc. The allow-list of the tests in
        # pyproject.toml needs no entry for it, because pycc is imported nowhere else.
        warnings.filterwarnings("ignore", message="The 'pycc' module", category=NumbaPendingDeprecationWarning)
        from numba.pycc import CC  # type: ignore[attr-defined]
    counts = hashing.count(["a good one"])
    table = scoring.table(np.zeros(1, np.uint32), np.ones(1, np.float32), np.ones(1, np.float32))
    scoring.scores(counts, table, 0.0)
    module = CC("_ahead")  # type: ignore[no-untyped-call]
    module.output_dir = folder
    for kernel in entry_kernels():
        (signature,) = kernel.signatures
        module.export(kernel.py_func.__name__, signature)(kernel.py_func)  # type: ignore[no-untyped-call]
    module.compile()


def entry_kernels() -> list[Dispatcher]:
    """The kernels that this process has compiled, sorted by name, without those that only other kernels call."""
    from numba.core.dispatcher import Dispatcher

    modules = [module for name, module in sys.modules.items() if name.startswith("ratchet.")]
    kernels = {each for module in modules for each in vars(module).values() if isinstance(each, Dispatcher)}
    compiled = [kernel for kernel in kernels if kernel.signatures]
    called = {
        id(kernel.py_func.__globals__.get(name)) for kernel in compiled for name in kernel.py_func.__code__.co_names
    }
    return sorted(
        (kernel for kernel in compiled if id(kernel) not in called), key=lambda kernel: kernel.py_func.__name__
    )


def main() -> None:
    """Read the command line; fill the cache, or compile ahead."""
    parser = argparse.ArgumentParser(prog="python -m ratchet.cli.compile_kernels", description=main.__doc__)
    parser.add_argument("--ahead", metavar="FOLDER", help="write the module _ahead, which needs no numba, into FOLDER")
    folder = parser.parse_args().ahead
    if folder is None:
        warm_cache()
    else:
        compile_ahead(folder)


if __name__ == "__main__":
    main()
