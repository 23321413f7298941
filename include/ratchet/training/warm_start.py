"""Dual variables of a training, stored by batch: the descents on the next window start from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ratchet.features.feature_files import PARTS
from ratchet.features.tensors import mapped
from ratchet.jobs import keys, manifests
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import verified
from ratchet.windows import Window

DUALS = "duals.safetensors"

Array = np.ndarray[Any, Any]
FeaturesByBatch = Mapping[str, Manifest]  # manifests of the features of a window's batches, in order


@dataclass(frozen=True)
class Duals:
    """A dual variable for each review of a window; nan where no earlier training has one.

    `whole` (n,) belongs to the fit on all reviews: the training parts of all batches, then their validation parts.
    `held_out` (r,) belongs to the fit on the training parts alone.
    """

    whole: Array
    held_out: Array

    @classmethod
    def unknown(cls, whole: int, held_out: int) -> Duals:
        """All nan, for the given numbers of reviews in either fit: a cold start."""
        return cls(np.full(whole, np.nan), np.full(held_out, np.nan))


def save(duals: Duals, features: FeaturesByBatch, path: Path) -> None:
    """Write one tensor per batch and part, so that a training on other batches finds those of shared batches."""
    tensors = {}
    for array, names in ((duals.whole, _whole(features)), (duals.held_out, _held_out(features))):
        start = 0
        for _, name, rows in names:
            tensors[name] = array[start : start + rows].astype(np.float32)
            start += rows
    save_file(tensors, path)


def load(context: JobContext, window: Window, candidate: str, features: FeaturesByBatch) -> Duals | None:
    """The dual variables of the last earlier window on which this candidate was trained, or None if there are none.

    The earlier training becomes an input of the job. Batches whose features have changed since get nan. See
    docs/decisions/0012-warm-start.md. Raises IntegrityError if the stored file was altered.
    """
    for end in range(window.end - 1, -1, -1):
        prefix = keys.model(Window(end), candidate)
        earlier = manifests.find(context.storage, prefix)
        if earlier is None or DUALS not in earlier.outputs:
            continue
        context.inputs[prefix] = earlier.digest
        with verified(context.storage, f"{prefix}/{DUALS}", earlier.output(DUALS).sha256) as path:
            stored = mapped(path)
        same = {batch for batch, made in features.items() if earlier.inputs.get(made.prefix) == made.digest}
        return Duals(_joined(stored, same, _whole(features)), _joined(stored, same, _held_out(features)))
    return None


def _joined(stored: Mapping[str, Array], same: set[str], names: Iterator[tuple[str, str, int]]) -> Array:
    """The tensors of all names end to end, with nan for a batch that is not among the `same`."""
    pieces = [stored[name] if batch in same else np.full(rows, np.nan) for batch, name, rows in names]
    return np.concatenate(pieces, dtype=np.float64)


def _whole(features: FeaturesByBatch) -> Iterator[tuple[str, str, int]]:
    """Batch, tensor name and number of reviews of each piece of `Duals.whole`, in order."""
    for part in PARTS:
        for batch, made in features.items():
            yield batch, f"{batch}.{part}", made.rows[part]


def _held_out(features: FeaturesByBatch) -> Iterator[tuple[str, str, int]]:
    """The same of `Duals.held_out`."""
    for batch, made in features.items():
        yield batch, f"{batch}.held_out", made.rows["train"]
