"""Files of features: the counts and labels of one batch, as training, evaluation and scoring read them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from ratchet.data.review_ids import HASH_BITS
from ratchet.features.ngram_counts import Array, Counts, Frequencies
from ratchet.features.tensors import mapped
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage, verified

CONCURRENT_READS = 4
PARTS = ("train", "validation")
FREQUENCIES = ("rare", "often", "reviews")  # the arrays of Frequencies
IDS = "ids.safetensors"


class Features:
    """Counts of n reviews, and what else training and evaluation need of them.

    `labels` (n,) are 0 or 1, `lengths` (n,) the characters of the texts, `titled` (n,) whether there is a title.
    """

    def __init__(self, counts: Counts, labels: Array, lengths: Array, titled: Array) -> None:
        self.counts, self.labels, self.lengths, self.titled = counts, labels, lengths, titled

    @cached_property
    def frequencies(self) -> Frequencies:
        """The number of negative and of positive reviews in which each column occurs."""
        return Frequencies.of(self.counts, self.labels)

    @classmethod
    def stack(cls, parts: list[Features]) -> Features:
        """The reviews of all parts, in their order."""
        return cls(
            Counts.stack([part.counts for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.titled for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write a safetensors file, which `load` maps into memory. The same features give the same bytes."""
        tensors = {
            **{name: getattr(self.frequencies, name) for name in FREQUENCIES},
            "starts": self.counts.starts.astype(np.int64),
            "terms": self.counts.terms.astype(np.uint32),
            "high_at": self.counts.high_at.astype(np.int64),
            "high": self.counts.high.astype(np.uint32),
            "labels": self.labels.astype(np.int8),
            "lengths": self.lengths.astype(np.int32),
            "titled": self.titled.astype(np.uint8),
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> Features:
        """Map a file of `save` into memory. Raises SafetensorError if it is no safetensors file."""
        found = mapped(path)
        counts = Counts(*(found[name] for name in ("starts", "terms", "high_at", "high")))
        features = cls(counts, found["labels"], found["lengths"], found["titled"].astype(bool))
        features.frequencies = Frequencies(*(found[name] for name in FREQUENCIES))
        return features


def load_all(storage: Storage, made_by: Iterable[Manifest], part: str) -> list[Features]:
    """One part of the features of every batch, in their order. Several files are downloaded and verified at a time."""
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        return list(pool.map(lambda manifest: load(storage, manifest, part), made_by))


def load(storage: Storage, made_by: Manifest, part: str) -> Features:
    """One part of a batch's features (`train`, `validation` or `test`), mapped into memory.

    Raises IntegrityError if the manifest names no such part, or if the file's bytes are not those of the manifest.
    """
    name = f"{part}.safetensors"
    with verified(storage, f"{made_by.prefix}/{name}", made_by.output(name).sha256) as path:
        return Features.load(path)  # a mapped file stays readable after it is deleted


def review_ids(storage: Storage, made_by: Manifest) -> pa.FixedSizeBinaryArray:
    """The ids of the reviews of a batch's features, shape (n,), 16 bytes each: a tenth of the size of the reviews.

    Raises IntegrityError if the file's bytes are not those of the manifest.
    """
    with verified(storage, f"{made_by.prefix}/{IDS}", made_by.output(IDS).sha256) as path:
        found = mapped(path)["ids"]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(HASH_BITS.itemsize), len(found), [None, pa.py_buffer(found)])
