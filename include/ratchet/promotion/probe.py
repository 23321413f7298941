"""Load an artifact and predict in a fresh process: `python -m ratchet.promotion.probe FOLDER < reviews.json`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

TIMEOUT = 120.0
"""Seconds. A model that takes longer than this to load and predict 20 reviews cannot be swapped in."""


def predictions(folder: Path, titles: list[str], texts: list[str]) -> np.ndarray[Any, Any] | str:
    """Probabilities of shape (n,), computed by a new interpreter from the files alone, or why it failed."""
    command = [sys.executable, "-m", "ratchet.promotion.probe", str(folder)]
    reviews = json.dumps({"titles": titles, "texts": texts})
    try:
        done = subprocess.run(command, input=reviews, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"the artifact did not answer within {TIMEOUT:.0f} s in a fresh process"
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it printed no error"]
        return f"the artifact does not load in a fresh process: {last[0]}"
    return np.array(json.loads(done.stdout), dtype=np.float64)


def main() -> None:
    """Read titles and texts as JSON from standard input; print their probabilities as JSON."""
    from ratchet.model import artifact

    reviews = json.load(sys.stdin)
    model = artifact.load(Path(sys.argv[1]))
    json.dump([float(value) for value in model.read(reviews["titles"], reviews["texts"])], sys.stdout)


if __name__ == "__main__":
    main()
