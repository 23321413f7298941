"""From one training to the next: dual variables by batch, where the descents of a longer window begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ratchet.features.featurize import PARTS
from ratchet.features.tensors import mapped
from ratchet.jobs import keys, manifests
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import verified
from ratchet.windows import Window

DUALS = "duals.safetensors"

Array = np.ndarray[Any, Any]
Made = Mapping[str, Manifest]  # the features of a window's batches, by name, in their order


@dataclass(frozen=True)
class Duals:
    """A dual variable for each review of a window; nan for one that no training has seen.

    `whole` is of the fit on all reviews, the training parts of all batches and then their validation parts;
    `held_out` of the fit on the training parts.
    """

    whole: Array
    held_out: Array

    @classmethod
    def unknown(cls, whole: int, held_out: int) -> Duals:
        """Those of so many reviews that no training has seen."""
        return cls(np.full(whole, np.nan), np.full(held_out, np.nan))


def save(duals: Duals, made: Made, path: Path) -> None:
    """Write them by batch, so that a training on other batches finds those it knows."""
    tensors = {}
    for array, names in ((duals.whole, _whole(made)), (duals.held_out, _held_out(made))):
        start = 0
        for _, name, rows in names:
            tensors[name] = array[start : start + rows].astype(np.float32)
            start += rows
    save_file(tensors, path)


def load(context: JobContext, window: Window, candidate: str, made: Made) -> Duals | None:
    """The dual variables of the last earlier window on which this candidate was trained, noted as an input.

    Those of a batch whose features are no longer those of then are left out. See docs/decisions/0012-warm-start.md.
    """
    for end in range(window.end - 1, -1, -1):
        prefix = keys.model(Window(end), candidate)
        earlier = manifests.find(context.storage, prefix)
        if earlier is None or DUALS not in earlier.outputs:
            continue
        context.inputs[prefix] = earlier.digest
        with verified(context.storage, f"{prefix}/{DUALS}", earlier.output(DUALS).sha256) as path:
            found = mapped(path)
        same = {batch for batch, features in made.items() if earlier.inputs.get(features.prefix) == features.digest}

        def of(names: Iterator[tuple[str, str, int]], found=found, same=same) -> Array:
            pieces = [found[name] if batch in same else np.full(rows, np.nan) for batch, name, rows in names]
            return np.concatenate(pieces, dtype=np.float64)

        return Duals(of(_whole(made)), of(_held_out(made)))
    return None


def _whole(made: Made) -> Iterator[tuple[str, str, int]]:
    """Batch, name and number of each piece, in their order."""
    for part in PARTS:
        for batch, features in made.items():
            yield batch, f"{batch}.{part}", features.rows[part]


def _held_out(made: Made) -> Iterator[tuple[str, str, int]]:
    for batch, features in made.items():
        yield batch, f"{batch}.held_out", features.rows["train"]
