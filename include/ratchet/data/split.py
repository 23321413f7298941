"""Reviews become weekly batches and the frozen test set.

A `review_id` is a hash, so its bits are the dice: the whole of it orders the reviews, its last 4 bytes say whether
one validates, the 4 before whether one is held out for test. A shuffled source so gives the same bytes whatever the
order of its rows. Where the archive's order is kept, rows stay in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ratchet.data.external_sort import Rows, Share, arrange
from ratchet.data.parquet import chunks
from ratchet.errors import ConfigurationError, InputError, IntegrityError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Output
from ratchet.jobs.preprocess import PreprocessDetails
from ratchet.jobs.storage import Storage, verified

VALIDATION = 0.2  # of every batch
HELD_OUT = 0.1  # of the seed for test, where the archive has no test file

DICE = np.dtype([("order", ">u8"), ("held_out", ">u4"), ("validates", ">u4")])  # the 16 bytes of a review_id

Dice = np.ndarray[Any, np.dtype[np.void]]


@dataclass(frozen=True)
class Reviews:
    """A file of reviews: what decides where each one goes, with the text left on the disk. Shapes: (rows,)."""

    path: Path
    dice: Dice
    labels: np.ndarray[Any, np.dtype[np.int8]]

    @classmethod
    def scan(cls, path: Path) -> Reviews:
        dice, labels = [np.empty(0, DICE)], [np.empty(0, np.int8)]
        for chunk in chunks(path, columns=["review_id", "label"]):
            dice.append(dice_of(chunk["review_id"]))
            labels.append(chunk["label"].to_numpy())
        return cls(path, np.concatenate(dice), np.concatenate(labels))

    def sequence(self, order: str) -> Rows:
        """Row numbers as they are, or by review_id where the order is `shuffled`."""
        if order != "shuffled":
            return np.arange(len(self.dice))
        return np.lexsort([self.dice[name].astype(np.uint64) for name in reversed(DICE.names or ())])

    def falls(self, die: str, rows: Rows, share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each of `rows` is among the share of all possible reviews that this die picks."""
        return falls(self.dice[rows], die, share)


def dice_of(ids: pa.StringArray) -> Dice:
    """The dice that review_ids are."""
    return np.frombuffer(bytes.fromhex("".join(ids.to_pylist())), DICE)


def falls(dice: Dice, die: str, share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each of some reviews is among the share of all possible ones that this die picks."""
    return dice[die] < share * 2**32


def split(context: JobContext, delivery: str, batches: int) -> None:
    """Write every batch of a delivery, and the test set of the seed; the text passes in chunks of 50,000 rows.

    The seed makes `batches` batches whose sizes differ by at most 1, a live delivery makes its own. Raises
    InputError for a batch without both classes and IntegrityError if one shares a review with the test set; then
    nothing is published.
    """
    before = standing(context, delivery)
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
        shares = {}
        if test := sources.get("test.parquet"):
            shares[keys.TEST] = (test, test.sequence(order))
        elif delivery == keys.SEED:
            held_out = train.falls("held_out", rows, HELD_OUT)
            shares[keys.TEST], rows = (train, rows[held_out]), rows[~held_out]
        cuts = np.cumsum(sizes(len(rows), len(names)))[:-1]
        shares |= {name: (train, share) for name, share in zip(names, np.split(rows, cuts), strict=True)}
        for name, (reviews, share) in shares.items():
            require_both_classes(name, *np.bincount(reviews.labels[share], minlength=2))
        for reviews in sources.values():
            arrange(
                reviews.path,
                [
                    Share(context.folder / f"{name}.parquet", share, parts(name, reviews.dice[share]))
                    for name, (source, share) in shares.items()
                    if source is reviews
                ],
            )
    _require_disjoint(context, names, before)
    for name, (_, share) in shares.items():
        context.publish(context.folder / f"{name}.parquet", f"{name}.parquet", keys.reviews(name))
        context.rows[name] = len(share)


def standing(context: JobContext, delivery: str) -> dict[str, Output]:
    """The test set and the batches that stand before a live delivery, by name; nothing stands before the seed.

    Each split read is noted as an input. Raises ConfigurationError for a delivery that is no new batch.
    """
    if delivery == keys.SEED:
        return {}
    outputs = dict(context.read(keys.split(keys.SEED), "ratchet split").outputs)
    number = delivery.removeprefix("batch_")
    if not number.isdecimal() or keys.batch_name(int(number)) != delivery or f"{delivery}.parquet" in outputs:
        raise ConfigurationError(
            f"{delivery!r} is no new batch: the seed already made {len(outputs) - 1}. "
            f"Name the delivery {keys.batch_name(len(outputs) - 1)} or later."
        )
    for earlier in map(keys.batch_name, range(len(outputs) - 1, int(number))):
        if context.storage.exists(keys.manifest(keys.split(earlier))):  # a week without a new batch left none
            outputs |= context.read(keys.split(earlier), f"ratchet split --delivery {earlier}").outputs
    return {name.removesuffix(".parquet"): output for name, output in outputs.items()}


def review_ids(storage: Storage, batch: str, output: Output) -> Iterator[pa.StringArray]:
    """The ids of a batch or the test set, in chunks. Raises IntegrityError if its bytes were altered."""
    with verified(storage, keys.reviews(batch), output.sha256) as path:
        for chunk in chunks(path, columns=["review_id"]):
            yield chunk["review_id"]


def names_of(delivery: str, batches: int) -> list[str]:
    """The batches that a delivery becomes."""
    return [delivery] if delivery != keys.SEED else [keys.batch_name(number) for number in range(batches)]


def sizes(rows: int, batches: int) -> list[int]:
    """How many rows each batch gets: they differ by at most 1, and the first ones have more."""
    least, rest = divmod(rows, batches)
    return [least + (number < rest) for number in range(batches)]


def parts(name: str, dice: Dice) -> pa.StringArray:
    """`train` or `validation` for each review of a batch, `test` in the test set."""
    validates = pa.array(falls(dice, "validates", VALIDATION))
    return pc.if_else(validates, *([keys.TEST] * 2 if name == keys.TEST else ["validation", "train"]))


def require_both_classes(name: str, negative: int, positive: int) -> None:
    """Raises InputError for a batch that could not be trained on."""
    if not negative or not positive:
        raise InputError(
            f"{name} would hold {negative} negative and {positive} positive reviews, and needs both. "
            "Bring more reviews, make fewer batches, or shuffle an archive that is sorted by class."
        )


def _require_disjoint(context: JobContext, batches: list[str], before: dict[str, Output]) -> None:
    path = context.folder / "test.parquet"
    if before:
        test = pa.concat_arrays(review_ids(context.storage, keys.TEST, before[keys.TEST]))
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
