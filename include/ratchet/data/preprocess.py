"""Raw files become reviews; whatever is no review, or one that was there before, goes to the quarantine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from ratchet import keys
from ratchet.data import checks, records
from ratchet.data.records import Refusal, Row
from ratchet.data.schemas import QUARANTINE, REVIEW, review_id
from ratchet.data.split import review_ids, standing
from ratchet.errors import InputError, IntegrityError, TooManyRefused
from ratchet.jobs import Work
from ratchet.storage import verified

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


def preprocess(work: Work, delivery: str) -> None:
    """Write `train.parquet`, `test.parquet` (if the source has a test file) and `quarantine.parquet` of a delivery.

    Test comes first, so of a review in both files the test row stays. A later delivery is held against the test
    set and the batches before it as well. Raises InputError for a source that cannot be trained on and its
    TooManyRefused above 5 %; then `refused.parquet` holds the quarantine and earlier outputs stay as they are.
    """
    room = keys.raw(delivery)
    raw = work.read(room, f"ratchet ingest --delivery {delivery}")
    if delivery != keys.SEED and "test" in raw.details["files"]:
        raise InputError(
            f"{delivery} brings a test file, but the test set is frozen. Bring its rows as a training file."
        )
    known = _known(work, delivery)
    tally = Tally()
    quarantine = work.folder / "quarantine.parquet"
    with pq.ParquetWriter(quarantine, QUARANTINE, compression="zstd") as refusals:
        for role in sorted(raw.details["files"]):  # test, train
            file = raw.details["files"][role]
            name = file["name"]
            with (
                verified(work.storage, f"{room}/{name}", raw.output(name).sha256) as path,
                pq.ParquetWriter(work.folder / f"{role}.parquet", REVIEW, compression="zstd") as reviews,
            ):
                _sift(records.read(path, name, file["form"]), name, known, tally, reviews, refusals)
            if role == "test":
                known = dict.fromkeys(known, DUPLICATE_OF_TEST)
    paths = sorted(work.folder.glob("*.parquet"))
    written = sum(pq.read_metadata(path).num_rows for path in paths)
    if written != tally.read:
        raise IntegrityError(f"{tally.read} rows read, but {written} written: a fault in ratchet, please report it.")
    try:
        _judge(tally, f"{work.storage.uri}/{work.room}")
    except InputError:
        work.publish(quarantine, "refused.parquet")
        raise
    for path in paths:
        work.publish(path, path.name)
    work.rows = tally.rows()
    work.details = {"order": raw.details["order"]}


def _sift(
    stream: Iterator[Row | Refusal],
    name: str,
    known: dict[str, str],
    tally: Tally,
    reviews: pq.ParquetWriter,
    refusals: pq.ParquetWriter,
) -> None:
    """Every row of a file to `reviews` or `refusals`. `known` says why a review of that id would be refused."""
    labels = tally.accepted[name] = Counter()
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
                refused.append(Refusal(row.line, reason, ",".join(row[1:])[: records.SAMPLE]))
            else:
                known[identity] = DUPLICATE
                accepted.append((identity, int(row.label) - 1, row.title, row.text))
        refused.sort()  # by line
        _write(reviews, REVIEW, accepted)
        _write(refusals, QUARANTINE, [(name, *refusal) for refusal in refused])
        labels.update(label for _, label, _, _ in accepted)
        tally.read += len(chunk)
        for line, reason, sample in refused:
            tally.refused[reason] += 1
            tally.samples.setdefault(reason, f"{name}:{line}: {sample[:80]!r}")
        if time.monotonic() - told > 5:
            told = time.monotonic()
            log.info("reading reviews", file=name, line=chunk[-1].line, **tally.rows())


def _chunks(stream: Iterator[Row | Refusal]) -> Iterator[list[Row | Refusal]]:
    chunk: list[Row | Refusal] = []
    characters = 0
    for row in stream:
        chunk.append(row)
        characters += sum(map(len, row[1:]))
        if len(chunk) == CHUNK_ROWS or characters > CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _write(writer: pq.ParquetWriter, schema: pa.Schema, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        columns = zip(zip(*rows, strict=True), schema.types, strict=True)
        writer.write_table(pa.Table.from_arrays([pa.array(*column) for column in columns], schema=schema))


def _known(work: Work, delivery: str) -> dict[str, str]:
    """The reviews that a live delivery must not bring again, by id, each with the reason it would be refused for."""
    known: dict[str, str] = {}
    for batch, output in standing(work, delivery).items():
        reason = DUPLICATE_OF_TEST if batch == keys.TEST else DUPLICATE_OF_EARLIER
        for ids in review_ids(work.storage, batch, output):
            known |= dict.fromkeys(ids.to_pylist(), reason)
    return known


def _judge(tally: Tally, room: str) -> None:
    """Whether a delivery can be trained on. Raises InputError or TooManyRefused, saying what was wrong with it."""
    where = f"Every refused row is in {room}/refused.parquet with its reason"
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
