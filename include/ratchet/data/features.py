"""Hashed n-gram counts of one batch, made once and read by every later window.

The definition is scikit-learn's `HashingVectorizer` below; counts are additive, so the document frequencies of a window
are the sums over its batches. Weighting (sublinear TF-IDF) happens at training time, because idf belongs to the window.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import structlog
from safetensors.numpy import load_file, save_file

from ratchet import keys
from ratchet.batches import delivery_of
from ratchet.data.documents import document
from ratchet.jobs import Work
from ratchet.manifests import Manifest
from ratchet.storage import Storage, verified

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

log = structlog.get_logger()

DIMENSIONS = 1 << 22
CHUNK = 20_000  # documents between two looks at the clock: about a second
PARTS = ("train", "validation")


def vectorizer() -> HashingVectorizer:
    """The definition of the features: counts of words and word pairs, hashed to 2^22 columns."""
    from sklearn.feature_extraction.text import HashingVectorizer  # half a second, which a job on stored counts saves

    return HashingVectorizer(
        ngram_range=(1, 2), n_features=DIMENSIONS, alternate_sign=False, norm=None, lowercase=True, dtype=np.float32
    )


def count(documents: list[str]) -> sp.csr_matrix:
    """Counts of n documents: a CSR matrix of shape (n, 2^22), float32. Every row is counted for itself."""
    hashing, chunks, said = vectorizer(), [], time.monotonic()
    for start in range(0, len(documents), CHUNK):
        chunks.append(hashing.transform(documents[start : start + CHUNK]))
        if time.monotonic() - said >= 5:
            said = time.monotonic()
            log.info("featurizing", rows=min(start + CHUNK, len(documents)), of=len(documents))
    return sp.vstack(chunks, format="csr")


class Features:
    """Counts and labels of some reviews. `counts` has shape (n, 2^22); `labels`, `lengths` and `titled` shape (n,)."""

    def __init__(self, counts: sp.csr_matrix, labels: np.ndarray, lengths: np.ndarray, titled: np.ndarray) -> None:
        self.counts, self.labels, self.lengths, self.titled = counts, labels, lengths, titled

    @classmethod
    def stack(cls, parts: list[Features]) -> Features:
        """All parts under one another, in their order."""
        return cls(
            sp.vstack([part.counts for part in parts], format="csr"),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.titled for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write as safetensors: the same features are the same bytes."""
        tensors = {
            "indptr": self.counts.indptr.astype(np.int64),
            "indices": self.counts.indices.astype(np.int32),
            "counts": self.counts.data.astype(np.uint32),
            "labels": self.labels.astype(np.int8),
            "lengths": self.lengths.astype(np.int32),
            "titled": self.titled.astype(np.uint8),
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> Features:
        found = load_file(path)
        rows = len(found["labels"])
        data = found["counts"].astype(np.float32)
        counts = sp.csr_matrix((data, found["indices"], found["indptr"]), shape=(rows, DIMENSIONS))
        return cls(counts, found["labels"], found["lengths"], found["titled"].astype(bool))


def featurize(work: Work, batch: str) -> None:
    """Count the n-grams of one batch, or of the test set, each part into a file of its own.

    Raises MissingInput if the batch has not been split off yet, IntegrityError if its bytes were altered.
    """
    import pyarrow.parquet as pq  # 150 MB that the serving image, which counts reviews too, does without

    made_by = work.read(keys.split(delivery_of(work.storage, batch)), "ratchet split")
    name = f"{batch}.parquet"
    with verified(work.storage, keys.reviews(batch), made_by.output(name).sha256) as path:
        table = pq.read_table(path)
    titles, texts = table["title"].to_pylist(), table["text"].to_pylist()
    parts = table["part"].to_numpy(zero_copy_only=False)
    counts = count([document(title, text) for title, text in zip(titles, texts, strict=True)])
    lengths = np.array([len(text) for text in texts], dtype=np.int32)
    titled = np.array([bool(title) for title in titles])
    labels = table["label"].to_numpy()
    for part in sorted(set(parts)):
        rows = np.flatnonzero(parts == part)
        path = work.folder / f"{part}.safetensors"
        Features(counts[rows], labels[rows], lengths[rows], titled[rows]).save(path)
        work.publish(path, path.name)
        work.rows[part] = len(rows)
    work.metrics["terms"] = float(counts.nnz)


def load(storage: Storage, made_by: Manifest, part: str) -> Features:
    """One part of a batch's features, verified against its manifest."""
    name = f"{part}.safetensors"
    with verified(storage, f"{made_by.room}/{name}", made_by.output(name).sha256) as path:
        return Features.load(path)
