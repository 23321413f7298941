"""Hashed n-gram counts of one batch, made once and read by every later window.

The definition is scikit-learn's `HashingVectorizer` below; counts are additive, so the document frequencies of a window
are the sums over its batches. Weighting (sublinear TF-IDF) happens at training time, because idf belongs to the window.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from safetensors.numpy import save_file

from ratchet.data.parquet import chunks
from ratchet.data.split import DICE, dice_of
from ratchet.features import hashing
from ratchet.features.ngram_counts import DIMENSIONS, Counts, Frequencies
from ratchet.features.tensors import mapped
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.batches import delivery_of
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage, verified

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

log = structlog.get_logger()

CHUNK = 50_000  # reviews of a chunk, as they lie in their file: a fifth of a second
ID = DICE.itemsize  # bytes of a review_id
AT_ONCE = 4  # files being read
PARTS = ("train", "validation")
FREQUENCIES = ("rare", "often", "reviews")
IDS = "ids.safetensors"


def vectorizer() -> HashingVectorizer:
    """The definition of the features: counts of words and word pairs, hashed to 2^22 columns."""
    from sklearn.feature_extraction.text import HashingVectorizer  # half a second, which a job on stored counts saves

    return HashingVectorizer(
        ngram_range=(1, 2), n_features=DIMENSIONS, alternate_sign=False, norm=None, lowercase=True, dtype=np.float32
    )


def _telling(chunks: Iterable[pa.RecordBatch], of: int) -> Iterator[pa.RecordBatch]:
    """The same chunks of rows, with a line in the log about every five seconds."""
    rows, said = 0, time.monotonic()
    for chunk in chunks:
        rows += len(chunk)
        if time.monotonic() - said >= 5:
            said = time.monotonic()
            log.info("featurizing", rows=rows, of=of)
        yield chunk


class Features:
    """Counts and labels of some reviews. `labels`, `lengths` and `titled` have shape (n,)."""

    def __init__(self, counts: Counts, labels: np.ndarray, lengths: np.ndarray, titled: np.ndarray) -> None:
        self.counts, self.labels, self.lengths, self.titled = counts, labels, lengths, titled

    @cached_property
    def frequencies(self) -> Frequencies:
        """In how many negative and positive reviews each column occurs."""
        return Frequencies.of(self.counts, self.labels)

    @classmethod
    def stack(cls, parts: list[Features]) -> Features:
        """All parts under one another, in their order."""
        return cls(
            Counts.stack([part.counts for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.titled for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write as safetensors, to be mapped into memory: the same features are the same bytes."""
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
        found = mapped(path)
        counts = Counts(*(found[name] for name in ("starts", "terms", "high_at", "high")))
        features = cls(counts, found["labels"], found["lengths"], found["titled"].astype(bool))
        features.frequencies = Frequencies(*(found[name] for name in FREQUENCIES))
        return features


def featurize(context: JobContext, batch: str) -> None:
    """Count the n-grams of one batch, or of the test set, each part into a file of its own.

    Raises MissingInput if the batch has not been split off yet, IntegrityError if its bytes were altered.
    """
    made_by = context.read(keys.split(delivery_of(context.storage, batch)), "ratchet split")
    name = f"{batch}.parquet"
    found: dict[str, list[Features]] = {}
    ids = []
    with verified(context.storage, keys.reviews(batch), made_by.output(name).sha256) as path:
        for reviews in _telling(chunks(path, CHUNK), made_by.rows[batch]):
            ids.append(dice_of(reviews["review_id"]).view(np.uint8).reshape(-1, ID))
            for part in sorted(reviews["part"].unique().to_pylist()):
                found.setdefault(part, []).append(_counted(reviews.filter(pc.equal(reviews["part"], part))))
    with ThreadPoolExecutor() as pool:
        parts = dict(zip(found, pool.map(Features.stack, found.values()), strict=True))
        paths = {part: context.folder / f"{part}.safetensors" for part in parts}
        list(pool.map(Features.save, parts.values(), paths.values()))
    paths["ids"] = context.folder / IDS
    save_file({"ids": np.concatenate(ids)}, paths["ids"])
    for path in paths.values():
        context.publish(path, path.name)
    context.rows = {part: len(each.labels) for part, each in parts.items()}
    context.metrics["terms"] = float(sum(len(each.counts.terms) for each in parts.values()))


def _counted(reviews: pa.RecordBatch) -> Features:
    titles, texts = reviews["title"], reviews["text"]
    facts = reviews["label"], pc.utf8_length(texts), pc.not_equal(titles, "")
    return Features(hashing.count_reviews(titles, texts), *(fact.to_numpy(zero_copy_only=False) for fact in facts))


def load_all(storage: Storage, made_by: Iterable[Manifest], part: str) -> list[Features]:
    """One part of every batch's features; some at a time, because a digest and a download take a while."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda manifest: load(storage, manifest, part), made_by))


def load(storage: Storage, made_by: Manifest, part: str) -> Features:
    """One part of a batch's features, verified against its manifest, mapped into memory."""
    name = f"{part}.safetensors"
    with verified(storage, f"{made_by.prefix}/{name}", made_by.output(name).sha256) as path:
        return Features.load(path)  # a file that is taken away stays readable for who has mapped it


def review_ids(storage: Storage, made_by: Manifest) -> pa.FixedSizeBinaryArray:
    """The ids of the reviews that a batch's features were made of, 16 bytes each: a tenth of the reviews themselves."""
    with verified(storage, f"{made_by.prefix}/{IDS}", made_by.output(IDS).sha256) as path:
        found = mapped(path)["ids"]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(ID), len(found), [None, pa.py_buffer(found)])
