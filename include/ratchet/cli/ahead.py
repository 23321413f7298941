"""Machine code made ahead: `python -m ratchet.cli.ahead FOLDER` writes a module `_kernels`, which needs no numba.

It reads reviews, and no more: serving does without the 170 MB of numba and LLVM. Each kernel is compiled for one kind
of arguments; running it once says which. Needs a C++ compiler and setuptools.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

from ratchet.features import hashing
from ratchet.model import scoring

KERNELS = ("_hash_rows", "_spread", "_score")


def main(folder: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba will give pycc a successor one day; the version is pinned
        from numba.pycc import CC
    counts = hashing.count(["a good one"])
    table = scoring.table(np.zeros(1, np.uint32), np.ones(1, np.float32), np.ones(1, np.float32))
    scoring.scores(counts, table, 0.0)
    module = CC("_kernels")
    module.output_dir = folder
    for name in KERNELS:
        kernel = getattr(hashing, name, None) or getattr(scoring, name)
        (signature,) = kernel.signatures
        module.export(name, signature)(kernel.py_func)
    module.compile()


if __name__ == "__main__":
    main(sys.argv[1])
