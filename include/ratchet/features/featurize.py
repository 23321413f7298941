"""The job `featurize`: hashed n-gram counts of one batch, made once and read by every later window.

The definition is scikit-learn's `HashingVectorizer` below; counts are additive, so the document frequencies of a window
are the sums over its batches. Weighting (sublinear TF-IDF) is part of training, because idf depends on the window.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from safetensors.numpy import save_file

from ratchet.data.parquet import chunks
from ratchet.data.review_ids import HASH_BITS, hash_bits
from ratchet.features import hashing
from ratchet.features.feature_files import IDS, Features
from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.batches import delivery_of
from ratchet.jobs.storage import verified

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

log = structlog.get_logger()

CHUNK = 50_000  # reviews counted at a time, in the order of their file: a fifth of a second


def vectorizer() -> HashingVectorizer:
    """The definition of the features: counts of words and word pairs, hashed to 2^22 columns."""
    from sklearn.feature_extraction.text import HashingVectorizer  # takes half a second, and no job needs it

    return HashingVectorizer(
        ngram_range=(1, 2), n_features=DIMENSIONS, alternate_sign=False, norm=None, lowercase=True, dtype=np.float32
    )


def featurize(context: JobContext, batch: str) -> None:
    """Count the n-grams of one batch, or of the test set, and write a file for each part, and one of review ids.

    Raises MissingInput if no split has made the batch yet, IntegrityError if its bytes were altered.
    """
    made_by = context.read(keys.split(delivery_of(context.storage, batch)), "ratchet split")
    name = f"{batch}.parquet"
    found: dict[str, list[Features]] = {}
    ids = []
    with verified(context.storage, keys.reviews(batch), made_by.output(name).sha256) as path:
        for reviews in _with_progress(chunks(path, CHUNK), made_by.rows[batch]):
            ids.append(hash_bits(reviews["review_id"]).view(np.uint8).reshape(-1, HASH_BITS.itemsize))
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
    columns = reviews["label"], pc.utf8_length(texts), pc.not_equal(titles, "")
    return Features(hashing.count_reviews(titles, texts), *(each.to_numpy(zero_copy_only=False) for each in columns))


def _with_progress(chunks: Iterable[pa.RecordBatch], of: int) -> Iterator[pa.RecordBatch]:
    """The same chunks of rows; logs the number of rows about every five seconds."""
    rows, logged = 0, time.monotonic()
    for chunk in chunks:
        rows += len(chunk)
        if time.monotonic() - logged >= 5:
            logged = time.monotonic()
            log.info("featurizing", rows=rows, of=of)
        yield chunk
