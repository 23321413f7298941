"""Kernels made ahead: what the serving image reads with, where there is neither numba nor anything else that trains."""

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
from ratchet.model.artifact import Card, Model

WITHOUT = ("joblib", "llvmlite", "matplotlib", "mlflow", "numba", "pandas", "pyarrow", "scipy", "sklearn")
REVIEWS = [("Größe", "naïve façade — 没有 значение"), ("", ""), ("", "good " * 3000), ("Good one", "It is good. " * 50)]
READ = f"""
import json, pathlib, sys
sys.modules.update(dict.fromkeys({WITHOUT}))
import ratchet
ratchet.__path__.append(sys.argv[1])
import ratchet.serving.server
from ratchet.model import artifact
titles, texts = zip(*json.load(sys.stdin))
print(json.dumps(artifact.load(pathlib.Path(sys.argv[1])).read(list(titles), list(texts)).tolist()))
"""


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler here; the image's build has one")
def test_a_process_without_numba_reads_what_one_with_numba_reads(tmp_path: Path) -> None:
    """The same probabilities to the bit, from a module of kernels and a model, both read from files."""
    rng = np.random.default_rng(0)
    columns = np.flatnonzero(rng.random(1 << 22) < 0.5).astype(np.uint32)
    idf, coefficients = (rng.random((2, len(columns))) + np.array([[1], [-0.5]])).astype(np.float32)
    model = Model(Card(candidate="linear-svc", window="0-0", intercept=0.1), columns, idf, coefficients)
    model.save(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "include")}
    subprocess.run([sys.executable, "-m", "ratchet.cli.ahead", str(tmp_path)], env=environment, check=True)
    asked, command = json.dumps(REVIEWS), [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=True)
    titles, texts = map(list, zip(*REVIEWS, strict=True))
    assert json.loads(done.stdout) == model.read(titles, texts).tolist()
