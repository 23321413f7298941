"""Does an artifact load and answer in a fresh process? `python -m ratchet.promotion.probe FOLDER < documents.json`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

TIMEOUT = 120.0
"""Seconds; a model that takes longer to load than this on any machine cannot be swapped in."""


def answers(folder: Path, titles: list[str], texts: list[str]) -> np.ndarray | str:
    """Probabilities of shape (n,) as a new interpreter computes them from the files alone, or the problem in words."""
    command = [sys.executable, "-m", "ratchet.promotion.probe", str(folder)]
    asked = json.dumps({"titles": titles, "texts": texts})
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"the artifact did not answer within {TIMEOUT:.0f} s in a fresh process"
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return f"the artifact does not load in a fresh process: {last[0]}"
    return np.array(json.loads(done.stdout), dtype=np.float64)


def main() -> None:
    from ratchet.model import artifact

    asked = json.load(sys.stdin)
    model = artifact.load(Path(sys.argv[1]))
    json.dump([float(value) for value in model.read(asked["titles"], asked["texts"])], sys.stdout)


if __name__ == "__main__":
    main()
