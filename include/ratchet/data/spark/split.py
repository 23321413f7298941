"""`split` by Spark: the batch of a review follows from its place in the order, once the first of each batch is known.

Tasks read row groups directly from the store, Spark shuffles and sorts the reviews, and one task writes each batch.
The driver reads counts, and for each batch the ids of one bin in 65,536, or, in the archive's order, 4,096 row numbers.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from ratchet.data import external_sort
from ratchet.data import split as local
from ratchet.data.earlier_batches import earlier_batches
from ratchet.data.review_ids import hash_bits, review_ids, selected
from ratchet.data.schemas import BATCH, REVIEW, create
from ratchet.data.spark.session import scratch, session, spread
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Output
from ratchet.jobs.preprocess import PreprocessDetails
from ratchet.jobs.storage import open_storage, verified

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BATCHES = ""  # the target of a review until the first review of each batch is known

PLACES = pa.schema(
    [
        pa.field("target", pa.string()),
        pa.field("bin", pa.string()),  # the first characters of `sequence`
        pa.field("sequence", pa.string()),  # orders the reviews of a target
        pa.field("review_id", pa.string()),
        pa.field("label", pa.int8()),
    ]
)
ARRANGED = pa.schema([pa.field("place", pa.int64()), PLACES.field("target"), PLACES.field("sequence"), *REVIEW])


@dataclass(frozen=True)
class Cuts:
    """The limits of the batches: their `names`, and the sequence at which each but the first begins.

    `begins` is shorter where there are fewer reviews than batches.
    """

    names: list[str]
    begins: list[str]


@dataclass(frozen=True)
class Group:
    """A row group of a file of reviews (schema REVIEW), and what decides where its rows go."""

    uri: str
    number: int
    start: int  # the number of its first row in the file
    test: bool  # all of it goes to the test set
    held_out: bool  # a share of it goes to the test set
    shuffled: bool

    def read(self, columns: list[str]) -> pa.Table:
        """Columns of the row group."""
        bucket = self.uri.startswith("s3://")
        filesystem, path = fs.FileSystem.from_uri(self.uri) if bucket else (fs.LocalFileSystem(), self.uri)
        with pq.ParquetFile(path, filesystem=filesystem) as file:
            return file.read_row_group(self.number, columns=columns)

    def places(self, reviews: pa.Table, cuts: Cuts) -> list[pa.Array]:
        """The target, bin and sequence of each review."""
        ids = reviews["review_id"].combine_chunks()
        if self.shuffled:
            sequence, width = ids, 4
        else:
            numbers = range(self.start, self.start + len(ids))
            sequence, width = pa.array([f"{number:016x}" for number in numbers], pa.string()), 13
        if self.test:
            target = np.full(len(ids), keys.TEST, dtype=object)
        else:
            begun = np.searchsorted(np.array(cuts.begins, "U32"), np.array(sequence.to_pylist(), "U32"), side="right")
            target = np.array(cuts.names, dtype=object)[begun]
        if self.held_out:
            target[selected(hash_bits(ids), "held_out", local.HELD_OUT)] = keys.TEST
        return [pa.array(target, pa.string()), pc.utf8_slice_codeunits(sequence, 0, width), sequence]


def split(context: JobContext, delivery: str, batches: int) -> None:
    """The same outputs as `ratchet.data.split.split`, byte for byte, and the same errors.

    Raises ConfigurationError without Spark.
    """
    with session(f"split {delivery}") as spark, scratch(context):
        earlier = earlier_batches(context, delivery)
        groups = _groups(context, delivery)
        names = local.names_of(delivery, batches)
        cuts = Cuts(names, _begins(spread(spark, groups, partial(_places, Cuts([BATCHES], [])), PLACES), len(names)))
        places = spread(spark, groups, partial(_places, cuts), PLACES)
        labels = _labels(places)
        targets = [keys.TEST, *names] if delivery == keys.SEED else names
        for name in targets:
            local.require_both_classes(name, labels.get((name, 0), 0), labels.get((name, 1), 0))
        _require_disjoint(spark, context, places, names, earlier)
        _write(spark, context, groups, cuts, targets)
        for name in targets:
            with context.storage.local(keys.scratch(context.prefix, f"{name}.parquet")) as path:
                context.publish(path, f"{name}.parquet", keys.reviews(name))
            context.rows[name] = labels[name, 0] + labels[name, 1]


def _groups(context: JobContext, delivery: str) -> list[Group]:
    """Every row group of a delivery's reviews. Raises IntegrityError if the bytes are not what preprocess wrote."""
    prefix = keys.processed(delivery)
    processed = context.read(prefix, f"ratchet preprocess --delivery {delivery}")
    names = [name for name in processed.outputs if name != keys.QUARANTINE]
    groups = []
    for name in names:
        with verified(context.storage, f"{prefix}/{name}", processed.outputs[name].sha256) as path:
            metadata = pq.read_metadata(path)
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        groups += [
            Group(
                f"{context.storage.uri}/{prefix}/{name}",
                number,
                start,
                test=name == "test.parquet",
                held_out=delivery == keys.SEED and "test.parquet" not in names,
                shuffled=PreprocessDetails.of(processed).order == "shuffled",
            )
            for number, start in enumerate(accumulate(sizes[:-1], initial=0))
            if sizes
        ]
    return groups


def _places(cuts: Cuts, group: Group) -> Iterator[pa.RecordBatch]:
    reviews = group.read(["review_id", "label"])
    yield from pa.Table.from_arrays([*group.places(reviews, cuts), *reviews.columns], schema=PLACES).to_batches()


def _begins(places: DataFrame, batches: int) -> list[str]:
    """The sequence of the first review of each batch but the first one, as far as there are reviews."""
    from pyspark.sql import functions as sql

    kept = places.where(sql.col("target") == BATCHES)
    bins = sorted(tuple(row) for row in kept.groupBy("bin").count().collect())
    ends = list(accumulate(count for _, count in bins))
    rows = ends[-1] if ends else 0
    ranks = [rank for rank in accumulate(local.sizes(rows, batches)[:-1]) if rank < rows]
    found = {rank: bisect_right(ends, rank) for rank in ranks}
    wanted = kept.where(sql.col("bin").isin([bins[place][0] for place in found.values()])).select("bin", "sequence")
    sequences: dict[str, list[str]] = {}
    for row in sorted(wanted.collect()):
        sequences.setdefault(row.bin, []).append(row.sequence)
    return [sequences[bins[place][0]][rank - ends[place] + bins[place][1]] for rank, place in found.items()]


def _labels(places: DataFrame) -> dict[tuple[str, int], int]:
    """The number of reviews by target and label."""
    return {(row.target, row.label): row["count"] for row in places.groupBy("target", "label").count().collect()}


def _require_disjoint(
    spark: SparkSession, context: JobContext, places: DataFrame, names: list[str], earlier: dict[str, Output]
) -> None:
    from pyspark.sql import functions as sql

    ids = pa.schema([PLACES.field("review_id")])
    if earlier:
        test = spread(spark, [earlier[keys.TEST]], partial(_test_ids, context.storage.uri), ids)
    else:
        test = places.where(sql.col("target") == keys.TEST).select("review_id")
    shared = places.where(sql.col("target") != keys.TEST).join(test, "review_id", "left_semi")
    counts = {row.target: row["count"] for row in shared.groupBy("target").count().collect()}
    for name in names:
        local.require_none_shared(name, counts.get(name))


def _test_ids(uri: str, output: Output) -> Iterator[pa.RecordBatch]:
    for ids in review_ids(open_storage(uri), keys.TEST, output):
        yield pa.RecordBatch.from_arrays([ids], names=["review_id"])


def _write(spark: SparkSession, context: JobContext, groups: list[Group], cuts: Cuts, targets: list[str]) -> None:
    """Write every target into the scratch prefix, one task for each."""
    from pyspark.sql import functions as sql

    # Spark partitions by hash, which could give one task two targets: find a number for each that no other shares.
    count = len(targets)
    partition = sql.pmod(sql.hash("id"), sql.lit(count)).alias("partition")
    numbers = spark.range(100 * count).groupBy(partition).agg(sql.min("id").alias("number")).collect()
    places = {targets[row.partition]: row.number for row in numbers}
    reviews = spread(spark, groups, partial(_reviews, cuts, places), ARRANGED)
    arranged = reviews.repartition(count, "place").sortWithinPartitions("sequence")
    write = partial(_write_target, context.storage.uri, context.prefix, external_sort.CHUNK_ROWS)
    arranged.mapInArrow(write, "target string").collect()


def _reviews(cuts: Cuts, places: dict[str, int], group: Group) -> Iterator[pa.RecordBatch]:
    reviews = group.read(REVIEW.names)
    target, _, sequence = group.places(reviews, cuts)
    place = pa.array([places[name] for name in target.to_pylist()], pa.int64())
    yield from pa.Table.from_arrays([place, target, sequence, *reviews.columns], ARRANGED.names).to_batches(1000)


def _write_target(
    uri: str, prefix: str, chunk_rows: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the rows of one target, which come in order, as the file that the local engine writes."""
    target = ""
    with tempfile.TemporaryDirectory(prefix="ratchet-") as folder:
        path = Path(folder) / "batch"
        for chunk in _chunks(batches, chunk_rows):
            if not target:
                target = chunk["target"][0].as_py()
                writer = create(path, BATCH)
            reviews = chunk.select(REVIEW.names).cast(REVIEW)
            ids = reviews["review_id"].combine_chunks()
            external_sort.write(writer, reviews, local.parts(target, hash_bits(ids)))
        if target:
            writer.close()
            open_storage(uri).upload(path, keys.scratch(prefix, f"{target}.parquet"))
            yield pa.record_batch({"target": pa.array([target])})


def _chunks(batches: Iterable[pa.RecordBatch], chunk_rows: int) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        rest = batch
        while rows + len(rest) >= chunk_rows:
            first = chunk_rows - rows
            yield pa.Table.from_batches([*waiting, rest.slice(0, first)]).combine_chunks()
            waiting, rows, rest = [], 0, rest.slice(first)
        waiting.append(rest)
        rows += len(rest)
    if rows:
        yield pa.Table.from_batches(waiting).combine_chunks()
