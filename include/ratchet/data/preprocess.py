"""Raw files become reviews; rows that are no reviews, and duplicates, go to the quarantine with their reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from ratchet.data import records
from ratchet.data.earlier_batches import earlier_batches
from ratchet.data.records import Refusal, Row
from ratchet.data.review_ids import review_ids
from ratchet.data.schemas import QUARANTINE, REVIEW, create, review_id
from ratchet.errors import InputError, IntegrityError, TooManyRefused
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import IngestDetails
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.preprocess import PreprocessDetails
from ratchet.jobs.storage import verified

log = structlog.get_logger()

CHUNK_ROWS = 50_000  # a row group: about 25 MiB of reviews
CHUNK_CHARACTERS = 1 << 26  # a chunk ends behind the row with which it has more, because rows may be long
MOST_REFUSED = 0.05  # share of the rows read; duplicates do not count, because a redelivered file is not a broken one

DUPLICATE = "duplicate"
DUPLICATE_OF_TEST = "duplicate of a test review"
DUPLICATE_OF_EARLIER = "duplicate of an earlier batch"


@dataclass
class RowCounts:
    """Numbers of rows read, accepted and refused so far."""

    read: int = 0
    accepted: dict[str, Counter[int]] = field(default_factory=dict)  # by file, by label
    refused: Counter[str] = field(default_factory=Counter)  # by reason, duplicates too
    samples: dict[str, str] = field(default_factory=dict)  # the first refusal of each reason

    @property
    def quarantined(self) -> int:
        """Rows refused for any reason."""
        return self.refused.total()

    @property
    def duplicates(self) -> int:
        """Rows refused because the same review was there before."""
        return sum(count for reason, count in self.refused.items() if reason.startswith(DUPLICATE))

    def add(self, file: str, read: int, labels: Iterable[int], refused: Sequence[Refusal]) -> None:
        """Count the next `read` rows of a file: the labels of those accepted, and those refused, by line."""
        self.accepted.setdefault(file, Counter()).update(labels)
        self.read += read
        for line, reason, sample in refused:
            self.refused[reason] += 1
            self.samples.setdefault(reason, f"{file}:{line}: {sample[:80]!r}")

    def summary(self) -> str:
        """One line for each reason: the number of rows, and the first of them."""
        return "\n".join(
            f"  {count} {reason}, first {self.samples[reason]}" for reason, count in self.refused.most_common()
        )

    def rows(self) -> dict[str, int]:
        """The counts for the manifest. Those with `refused: ` add up to `quarantined`."""
        return {
            "read": self.read,
            "accepted": sum(labels.total() for labels in self.accepted.values()),
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            **{f"refused: {reason}": count for reason, count in self.refused.most_common()},
        }


def preprocess(context: JobContext, delivery: str) -> None:
    """Write `train.parquet`, `test.parquet` (if the source has a test file) and `quarantine.parquet` of a delivery.

    The test file is read first, so of a review in both files the test row stays. A later delivery is also compared with
    the test set and the batches before it. Raises InputError for a source that cannot be trained on, TooManyRefused if
    more than 5 % of its rows are refused, and what `earlier_batches` raises. After the first two, `refused.parquet` has
    the quarantine, and earlier outputs stay as they are.
    """
    raw = raw_manifest(context, delivery)
    known = _known(context, delivery)
    counts = RowCounts()
    with create(context.folder / keys.QUARANTINE, QUARANTINE) as refusals:
        for role, file in sorted(IngestDetails.of(raw).files.items()):  # test, train
            name = file.name
            with (
                verified(context.storage, f"{raw.prefix}/{name}", raw.output(name).sha256) as path,
                create(context.folder / f"{role}.parquet", REVIEW) as reviews,
            ):
                _separate(records.read(path, name, file.form), name, known, counts, reviews, refusals)
            if role == "test":
                known = dict.fromkeys(known, DUPLICATE_OF_TEST)
    publish(context, counts, raw)


def raw_manifest(context: JobContext, delivery: str) -> Manifest:
    """The manifest of a delivery's raw files. Raises InputError if a later delivery has a test file."""
    raw = context.read(keys.raw(delivery), f"ratchet ingest --delivery {delivery}")
    if delivery != keys.SEED and "test" in IngestDetails.of(raw).files:
        raise InputError(
            f"{delivery} brings a test file, but the test set is frozen. Bring its rows as a training file."
        )
    return raw


def publish(context: JobContext, counts: RowCounts, raw: Manifest) -> None:
    """Publish the Parquet files of the job's folder.

    If the delivery cannot be trained on, publish only the quarantine and raise the InputError of `preprocess`.
    """
    paths = sorted(context.folder.glob("*.parquet"))
    written = sum(pq.read_metadata(path).num_rows for path in paths)
    if written != counts.read:
        raise IntegrityError(f"{counts.read} rows read, but {written} written: a bug in Ratchet, please report it.")
    try:
        _require_usable(counts, f"{context.storage.uri}/{context.prefix}")
    except InputError:
        context.publish(context.folder / keys.QUARANTINE, "refused.parquet")
        raise
    for path in paths:
        context.publish(path, path.name)
    context.rows = counts.rows()
    context.details = PreprocessDetails(order=IngestDetails.of(raw).order)


def _separate(
    stream: Iterator[Row | Refusal],
    name: str,
    known: dict[str, str],
    counts: RowCounts,
    reviews: pq.ParquetWriter,
    refusals: pq.ParquetWriter,
) -> None:
    """Write every row of a file to `reviews` or `refusals`, and count it.

    `known` maps review ids to the reason for which a review of that id is refused; accepted ids are added.
    """
    counts.add(name, 0, [], [])
    logged = time.monotonic()
    for chunk in _chunks(stream):
        refused: list[Refusal] = []
        accepted: list[tuple[str, int, str, str]] = []
        for row in chunk:
            if isinstance(row, Refusal):
                refused.append(row)
                continue
            reason = records.content_problem(row) or known.get(identity := review_id(row.title, row.text))
            if reason:
                refused.append(refuse(row, reason))
            else:
                known[identity] = DUPLICATE
                accepted.append((identity, label_of(row), row.title, row.text))
        write(reviews, REVIEW, accepted)
        write(refusals, QUARANTINE, [(name, *refusal) for refusal in refused])
        counts.add(name, len(chunk), (label for _, label, _, _ in accepted), refused)
        if time.monotonic() - logged > 5:
            logged = time.monotonic()
            log.info("reading reviews", file=name, line=chunk[-1].line, **counts.rows())


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
    """The number of characters of a row."""
    return sum(map(len, row[1:]))


def full(rows: int, characters: int) -> bool:
    """Whether a chunk with this many rows and characters is complete."""
    return rows == CHUNK_ROWS or characters > CHUNK_CHARACTERS


def label_of(row: Row) -> int:
    """0 for class 1, 1 for class 2."""
    return int(row.label) - 1


def refuse(row: Row, reason: str) -> Refusal:
    """The refusal of a row for its content, or because it is a duplicate."""
    return Refusal(row.line, reason, ",".join(row[1:])[: records.SAMPLE])


def write(writer: pq.ParquetWriter, schema: pa.Schema, rows: list[tuple[Any, ...]]) -> None:
    """Write a chunk of rows as one row group; an empty chunk leaves none."""
    if rows:
        columns = zip(zip(*rows, strict=True), schema.types, strict=True)
        writer.write_table(pa.Table.from_arrays([pa.array(*column) for column in columns], schema=schema))


def _known(context: JobContext, delivery: str) -> dict[str, str]:
    """The reviews that a later delivery must not repeat: review id to the reason of its refusal."""
    known: dict[str, str] = {}
    for batch, output in earlier_batches(context, delivery).items():
        reason = DUPLICATE_OF_TEST if batch == keys.TEST else DUPLICATE_OF_EARLIER
        for ids in review_ids(context.storage, batch, output):
            known |= dict.fromkeys(ids.to_pylist(), reason)
    return known


def _require_usable(counts: RowCounts, prefix: str) -> None:
    """Raises InputError or TooManyRefused, with the reasons, for a delivery that cannot be trained on."""
    where = f"Every refused row is in {prefix}/refused.parquet with its reason"
    names = ", ".join(counts.accepted)
    if not counts.read:
        raise InputError(f"{names}: no row at all. Check the source, then run `ratchet ingest` again.")
    broken = counts.quarantined - counts.duplicates
    if broken > MOST_REFUSED * counts.read:
        raise TooManyRefused(
            f"{names}: {broken} of {counts.read} rows refused, over {MOST_REFUSED:.0%}.\n{counts.summary()}\n"
            f"{where}. Correct the source, then run `ratchet ingest` again."
        )
    for name, labels in counts.accepted.items():
        if len(labels) < 2:
            raise InputError(
                f"{name}: {labels[0]} negative and {labels[1]} positive reviews are left, and both are needed.\n"
                f"{counts.summary()}\n{where}. Bring reviews of both classes."
            )
