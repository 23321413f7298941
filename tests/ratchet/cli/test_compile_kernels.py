"""Kernels compiled ahead: the serving image has neither numba nor any other library of training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.project import PROJECT
from ratchet.features.document import document
from ratchet.features.hashing import count
from ratchet.model.artifact import Card, Model
from ratchet.model.explain import explain

WITHOUT = ("joblib", "llvmlite", "matplotlib", "mlflow", "numba", "pandas", "pyarrow", "scipy", "sklearn")
REVIEWS = [("Größe", "naïve façade — 没有 значение"), ("", ""), ("", "good " * 3000), ("Good one", "It is good. " * 50)]
READ = f"""
import json, pathlib, sys
sys.modules.update(dict.fromkeys({WITHOUT}))
import ratchet.kernels
ratchet.kernels.__path__.append(sys.argv[1])
from ratchet.kernels import runtime
compiled_ahead = runtime.compiled

def compiled(kernel):
    found = compiled_ahead(kernel)
    if found is not kernel:
        return found
    def forgotten(*arguments):
        raise AssertionError(f"serving calls the kernel {{kernel.__name__}}, which is not compiled ahead")
    return forgotten

runtime.compiled = compiled
import ratchet.serving.server
from ratchet.features.document import document
from ratchet.features.hashing import count
from ratchet.model import artifact
from ratchet.model.explain import explain
model = artifact.load(pathlib.Path(sys.argv[1]))
titles, texts = zip(*json.load(sys.stdin))
scores = [explain(model, each, count([each]), 5).score for each in map(document, titles, texts)]
print(json.dumps([model.read(list(titles), list(texts)).tolist(), scores]))
"""


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler here; the image's build has one")
def test_a_process_without_numba_reads_what_one_with_numba_reads(tmp_path: Path) -> None:
    """The same probabilities and explanations to the bit, from a module of kernels and a model, both read from files.

    No kernel of these runs as Python: one that is not in the module fails the process.
    """
    rng = np.random.default_rng(0)
    columns = np.flatnonzero(rng.random(1 << 22) < 0.5).astype(np.uint32)
    idf, coefficients = (rng.random((2, len(columns))) + np.array([[1], [-0.5]])).astype(np.float32)
    model = Model(Card(candidate="linear-svc", window="0-0", intercept=0.1), columns, idf, coefficients)
    model.save(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "include")}
    command = [sys.executable, "-m", "ratchet.cli.compile_kernels", "--ahead", str(tmp_path)]
    subprocess.run(command, env=environment, check=True)
    request, command = json.dumps(REVIEWS), [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, input=request, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    titles, texts = map(list, zip(*REVIEWS, strict=True))
    scores = [explain(model, each, count([each]), 5).score for each in map(document, titles, texts)]
    assert json.loads(done.stdout) == [model.read(titles, texts).tolist(), scores]
