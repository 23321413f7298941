"""Raw files become reviews; whatever is no review, or one that was there before, goes to the quarantine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from ratchet.data import checks, records
from ratchet.data.records import Refusal, Row
from ratchet.data.schemas import QUARANTINE, REVIEW, create, review_id
from ratchet.data.split import review_ids, standing
from ratchet.errors import InputError, IntegrityError, TooManyRefused
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import IngestDetails
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.preprocess import PreprocessDetails
from ratchet.jobs.storage import verified

log = structlog.get_logger()

CHUNK_ROWS = 50_000  # a row group: about 25 MiB of reviews
CHUNK_CHARACTERS = 1 << 26  # and never more than this, whatever a row holds
MOST_REFUSED = 0.05  # of the rows read; duplicates do not count, a redelivered file is not a broken one

DUPLICATE = "duplicate"
DUPLICATE_OF_TEST = "duplicate of a test review"
DUPLICATE_OF_EARLIER = "duplicate of an earlier batch"


@dataclass
class Tally:
    """What became of the rows so far."""

    read: int = 0
    accepted: dict[str, Counter[int]] = field(default_factory=dict)  # by file, by label
    refused: Counter[str] = field(default_factory=Counter)  # by reason, duplicates too
    samples: dict[str, str] = field(default_factory=dict)  # the first refusal of each reason

    @property
    def quarantined(self) -> int:
        return self.refused.total()

    @property
    def duplicates(self) -> int:
        return sum(count for reason, count in self.refused.items() if reason.startswith(DUPLICATE))

    def add(self, file: str, read: int, labels: Iterable[int], refused: Sequence[Refusal]) -> None:
        """The next rows of a file; `refused` in the order of their lines."""
        self.accepted.setdefault(file, Counter()).update(labels)
        self.read += read
        for line, reason, sample in refused:
            self.refused[reason] += 1
            self.samples.setdefault(reason, f"{file}:{line}: {sample[:80]!r}")

    def summary(self) -> str:
        """One line for each reason: how often, and where first."""
        return "\n".join(
            f"  {count} {reason}, first {self.samples[reason]}" for reason, count in self.refused.most_common()
        )

    def rows(self) -> dict[str, int]:
        """The counts for the manifest. Those by reason add up to `quarantined`."""
        return {
            "read": self.read,
            "accepted": sum(labels.total() for labels in self.accepted.values()),
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            **{f"refused: {reason}": count for reason, count in self.refused.most_common()},
        }


def preprocess(context: JobContext, delivery: str) -> None:
    """Write `train.parquet`, `test.parquet` (if the source has a test file) and `quarantine.parquet` of a delivery.

    Test comes first, so of a review in both files the test row stays. A later delivery is held against the test
    set and the batches before it as well. Raises InputError for a source that cannot be trained on and its
    TooManyRefused above 5 %; then `refused.parquet` holds the quarantine and earlier outputs stay as they are.
    """
    raw = delivered(context, delivery)
    known = _known(context, delivery)
    tally = Tally()
    with create(context.folder / keys.QUARANTINE, QUARANTINE) as refusals:
        for role, file in sorted(IngestDetails.of(raw).files.items()):  # test, train
            name = file.name
            with (
                verified(context.storage, f"{raw.prefix}/{name}", raw.output(name).sha256) as path,
                create(context.folder / f"{role}.parquet", REVIEW) as reviews,
            ):
                _sift(records.read(path, name, file.form), name, known, tally, reviews, refusals)
            if role == "test":
                known = dict.fromkeys(known, DUPLICATE_OF_TEST)
    publish(context, tally, raw)


def delivered(context: JobContext, delivery: str) -> Manifest:
    """The manifest of a delivery's raw files. Raises InputError if a later one brings a test file."""
    raw = context.read(keys.raw(delivery), f"ratchet ingest --delivery {delivery}")
    if delivery != keys.SEED and "test" in IngestDetails.of(raw).files:
        raise InputError(
            f"{delivery} brings a test file, but the test set is frozen. Bring its rows as a training file."
        )
    return raw


def publish(context: JobContext, tally: Tally, raw: Manifest) -> None:
    """Publish the files of the job's folder, or the quarantine alone and raise what `preprocess` raises for it."""
    paths = sorted(context.folder.glob("*.parquet"))
    written = sum(pq.read_metadata(path).num_rows for path in paths)
    if written != tally.read:
        raise IntegrityError(f"{tally.read} rows read, but {written} written: a fault in ratchet, please report it.")
    try:
        _judge(tally, f"{context.storage.uri}/{context.prefix}")
    except InputError:
        context.publish(context.folder / keys.QUARANTINE, "refused.parquet")
        raise
    for path in paths:
        context.publish(path, path.name)
    context.rows = tally.rows()
    context.details = PreprocessDetails(order=IngestDetails.of(raw).order)


def _sift(
    stream: Iterator[Row | Refusal],
    name: str,
    known: dict[str, str],
    tally: Tally,
    reviews: pq.ParquetWriter,
    refusals: pq.ParquetWriter,
) -> None:
    """Every row of a file to `reviews` or `refusals`. `known` says why a review of that id would be refused."""
    tally.add(name, 0, [], [])
    told = time.monotonic()
    for chunk in _chunks(stream):
        rows = [row for row in chunk if isinstance(row, Row)]
        refused = [row for row in chunk if isinstance(row, Refusal)]
        accepted = []
        reasons = checks.refused(rows)
        for place, row in enumerate(rows):
            identity = review_id(row.title, row.text)
            reason = reasons.get(place) or known.get(identity)
            if reason:
                refused.append(refuse(row, reason))
            else:
                known[identity] = DUPLICATE
                accepted.append((identity, label_of(row), row.title, row.text))
        refused.sort()  # by line
        write(reviews, REVIEW, accepted)
        write(refusals, QUARANTINE, [(name, *refusal) for refusal in refused])
        tally.add(name, len(chunk), (label for _, label, _, _ in accepted), refused)
        if time.monotonic() - told > 5:
            told = time.monotonic()
            log.info("reading reviews", file=name, line=chunk[-1].line, **tally.rows())


def _chunks(stream: Iterator[Row | Refusal]) -> Iterator[list[Row | Refusal]]:
    chunk: list[Row | Refusal] = []
    characters = 0
    for row in stream:
        chunk.append(row)
        characters += size_of(row)
        if full(len(chunk), characters):
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def size_of(row: Row | Refusal) -> int:
    """Characters of a row."""
    return sum(map(len, row[1:]))


def full(rows: int, characters: int) -> bool:
    """Whether so many rows with so many characters make a chunk."""
    return rows == CHUNK_ROWS or characters > CHUNK_CHARACTERS


def label_of(row: Row) -> int:
    """0 for class 1, 1 for class 2."""
    return int(row.label) - 1


def refuse(row: Row, reason: str) -> Refusal:
    """A row of the right form that is not wanted."""
    return Refusal(row.line, reason, ",".join(row[1:])[: records.SAMPLE])


def write(writer: pq.ParquetWriter, schema: pa.Schema, rows: list[tuple[Any, ...]]) -> None:
    """One chunk of rows, or of none, which leaves no row group."""
    if rows:
        columns = zip(zip(*rows, strict=True), schema.types, strict=True)
        writer.write_table(pa.Table.from_arrays([pa.array(*column) for column in columns], schema=schema))


def _known(context: JobContext, delivery: str) -> dict[str, str]:
    """The reviews that a live delivery must not bring again, by id, each with the reason it would be refused for."""
    known: dict[str, str] = {}
    for batch, output in standing(context, delivery).items():
        reason = DUPLICATE_OF_TEST if batch == keys.TEST else DUPLICATE_OF_EARLIER
        for ids in review_ids(context.storage, batch, output):
            known |= dict.fromkeys(ids.to_pylist(), reason)
    return known


def _judge(tally: Tally, prefix: str) -> None:
    """Whether a delivery can be trained on. Raises InputError or TooManyRefused, saying what was wrong with it."""
    where = f"Every refused row is in {prefix}/refused.parquet with its reason"
    names = ", ".join(tally.accepted)
    if not tally.read:
        raise InputError(f"{names}: no row at all. Check the source, then run `ratchet ingest` again.")
    broken = tally.quarantined - tally.duplicates
    if broken > MOST_REFUSED * tally.read:
        raise TooManyRefused(
            f"{names}: {broken} of {tally.read} rows refused, over {MOST_REFUSED:.0%}.\n{tally.summary()}\n"
            f"{where}. Mend the source, then run `ratchet ingest` again."
        )
    for name, labels in tally.accepted.items():
        if len(labels) < 2:
            raise InputError(
                f"{name}: {labels[0]} negative and {labels[1]} positive reviews are left, and both are needed.\n"
                f"{tally.summary()}\n{where}. Bring reviews of both classes."
            )
