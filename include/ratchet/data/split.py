"""Reviews become weekly batches and the frozen test set.

A shuffled source is ordered by `review_id`, so the same reviews give the same bytes in any order of their rows.
An archive whose order means time keeps it. The bits of an id that decide a review's part are defined in
`ratchet.data.review_ids`.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ratchet.data.earlier_batches import earlier_batches
from ratchet.data.external_sort import Destination, Rows, distribute
from ratchet.data.parquet import chunks
from ratchet.data.review_ids import HASH_BITS, HashBits, hash_bits, review_ids, selected
from ratchet.errors import InputError, IntegrityError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Output
from ratchet.jobs.preprocess import PreprocessDetails
from ratchet.jobs.storage import verified

VALIDATION = 0.2  # share of every batch
HELD_OUT = 0.1  # share of the seed that becomes the test set, where the archive has no test file


@dataclass(frozen=True)
class Reviews:
    """A file of reviews, and what decides where each one goes; the text stays on disk. Arrays: shape (rows,)."""

    path: Path
    bits: HashBits
    labels: np.ndarray[Any, np.dtype[np.int8]]

    @classmethod
    def scan(cls, path: Path) -> Reviews:
        """Read the ids and labels of a file (schema REVIEW)."""
        bits, labels = [np.empty(0, HASH_BITS)], [np.empty(0, np.int8)]
        for chunk in chunks(path, columns=["review_id", "label"]):
            bits.append(hash_bits(chunk["review_id"]))
            labels.append(chunk["label"].to_numpy())
        return cls(path, np.concatenate(bits), np.concatenate(labels))

    def sequence(self, order: str) -> Rows:
        """All row numbers: as they are, or by review_id where the order is `shuffled`."""
        if order != "shuffled":
            return np.arange(len(self.bits))
        return np.lexsort([self.bits[name].astype(np.uint64) for name in reversed(HASH_BITS.names or ())])


def split(context: JobContext, delivery: str, batches: int) -> None:
    """Write every batch of a delivery, and the test set of the seed; the text passes in chunks of 50,000 rows.

    The seed makes `batches` batches whose sizes differ by at most 1; a later delivery is one batch. Raises InputError
    for a batch without both classes, IntegrityError for one that shares a review with the test set, and what
    `earlier_batches` raises; then nothing is published.
    """
    earlier = earlier_batches(context, delivery)
    prefix = keys.processed(delivery)
    processed = context.read(prefix, f"ratchet preprocess --delivery {delivery}")
    order = PreprocessDetails.of(processed).order
    names = names_of(delivery, batches)
    with ExitStack() as files:
        sources = {
            name: Reviews.scan(files.enter_context(verified(context.storage, f"{prefix}/{name}", output.sha256)))
            for name, output in processed.outputs.items()
            if name != keys.QUARANTINE
        }
        train = sources["train.parquet"]
        rows = train.sequence(order)
        targets = {}
        if test := sources.get("test.parquet"):
            targets[keys.TEST] = (test, test.sequence(order))
        elif delivery == keys.SEED:
            held_out = selected(train.bits[rows], "held_out", HELD_OUT)
            targets[keys.TEST], rows = (train, rows[held_out]), rows[~held_out]
        cuts = np.cumsum(sizes(len(rows), len(names)))[:-1]
        targets |= {name: (train, part) for name, part in zip(names, np.split(rows, cuts), strict=True)}
        for name, (reviews, target_rows) in targets.items():
            require_both_classes(name, *np.bincount(reviews.labels[target_rows], minlength=2))
        for reviews in sources.values():
            distribute(
                reviews.path,
                [
                    Destination(context.folder / f"{name}.parquet", target_rows, parts(name, reviews.bits[target_rows]))
                    for name, (source, target_rows) in targets.items()
                    if source is reviews
                ],
            )
    _require_disjoint(context, names, earlier)
    for name, (_, target_rows) in targets.items():
        context.publish(context.folder / f"{name}.parquet", f"{name}.parquet", keys.reviews(name))
        context.rows[name] = len(target_rows)


def names_of(delivery: str, batches: int) -> list[str]:
    """The names of the batches that a delivery becomes."""
    return [delivery] if delivery != keys.SEED else [keys.batch_name(number) for number in range(batches)]


def sizes(rows: int, batches: int) -> list[int]:
    """The number of rows of each batch: they differ by at most 1, and the first ones have more."""
    least, rest = divmod(rows, batches)
    return [least + (number < rest) for number in range(batches)]


def parts(name: str, bits: HashBits) -> pa.StringArray:
    """`train` or `validation` for each review of a batch, `test` for each one of the test set; shape (n,)."""
    validates = pa.array(selected(bits, "validates", VALIDATION))
    return pc.if_else(validates, *([keys.TEST] * 2 if name == keys.TEST else ["validation", "train"]))


def require_both_classes(name: str, negative: int, positive: int) -> None:
    """Raises InputError for a batch without negative or without positive reviews: nothing can be trained on it."""
    if not negative or not positive:
        raise InputError(
            f"{name} would have {negative} negative and {positive} positive reviews, and needs both. "
            "Bring more reviews, make fewer batches, or shuffle an archive that is sorted by class."
        )


def _require_disjoint(context: JobContext, batches: list[str], earlier: dict[str, Output]) -> None:
    path = context.folder / "test.parquet"
    if earlier:
        test = pa.concat_arrays(review_ids(context.storage, keys.TEST, earlier[keys.TEST]))
    else:
        test = pq.read_table(path, columns=["review_id"])["review_id"].combine_chunks()
    for batch in batches:
        for chunk in chunks(context.folder / f"{batch}.parquet", columns=["review_id"]):
            require_none_shared(batch, pc.sum(pc.is_in(chunk["review_id"], value_set=test)).as_py())


def require_none_shared(batch: str, shared: int | None) -> None:
    """Raises IntegrityError if a batch shares reviews with the test set."""
    if shared:
        raise IntegrityError(
            f"{batch} shares {shared} reviews with the test set. "
            "Delete the manifests of preprocess and split, then run both again."
        )
