"""Batches have equal sizes and both classes, and never share a review with the frozen test set."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratchet.data import external_sort
from ratchet.data.schemas import BATCH, REVIEW, review_id
from ratchet.errors import InputError, IntegrityError, MissingInput
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.settings import Settings

Rows = list[tuple[str, int, str, str]]


def reviews(start: int, stop: int) -> Rows:
    """Distinct reviews in the order of their numbers, the classes taking turns."""
    return [(review_id("", f"review {n}"), n % 2, "", f"review {n}") for n in range(start, stop)]


def deliver(store: FolderStorage, order: str, delivery: str = keys.SEED, **files: Rows) -> None:
    """The outputs of preprocess: reviews by role and their manifest."""
    prefix, outputs = keys.processed(delivery), {}
    for role, rows in files.items():
        path = store.root / prefix / f"{role}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table([list(column) for column in columns], schema=REVIEW), path, row_group_size=300)
        outputs[path.name] = Output(sha256=sha256_of(path), size=path.stat().st_size)
    manifest = Manifest(job="preprocess", prefix=prefix, outputs=outputs, details={"order": order})
    store.write(keys.manifest(prefix), manifest.model_dump_json().encode())


def run(store: FolderStorage, batches: int = 10, delivery: str = keys.SEED) -> Manifest:
    return Split(delivery=delivery, batches=batches).execute(store, Settings(), force=True)


def rows_of(store: FolderStorage, batch: str) -> list[dict]:
    table = pq.read_table(store.root / keys.reviews(batch))
    assert table.schema.equals(BATCH)
    return table.to_pylist()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStorage:
    """An empty store; chunks are small, so that a small set passes through many."""
    monkeypatch.setattr(external_sort, "CHUNK_ROWS", 64)
    return FolderStorage(tmp_path)


@pytest.mark.parametrize("order", ["shuffled", "archive"])
def test_every_review_is_in_exactly_one_batch_of_equal_size(store: FolderStorage, order: str) -> None:
    """Sizes differ by at most 1, and nothing is lost, doubled or changed on the way."""
    deliver(store, order, train=reviews(0, 2007), test=reviews(2007, 2200))
    manifest = run(store)
    names = [keys.batch_name(number) for number in range(10)]
    assert set(manifest.outputs) == {f"{name}.parquet" for name in [*names, "test"]}
    assert sorted(manifest.rows[name] for name in names) == [200] * 3 + [201] * 7
    found = [tuple(row.values())[:4] for name in names for row in rows_of(store, name)]
    assert sorted(found) == sorted(reviews(0, 2007))
    assert sorted(tuple(row.values())[:4] for row in rows_of(store, "test")) == sorted(reviews(2007, 2200))
    assert {row["part"] for row in rows_of(store, "test")} == {"test"}


def test_the_archives_order_is_kept_where_it_means_time(store: FolderStorage) -> None:
    """Batch after batch, the rows come as the archive has them."""
    deliver(store, "archive", train=reviews(0, 1000), test=reviews(1000, 1050))
    run(store, 4)
    texts = [row["text"] for number in range(4) for row in rows_of(store, keys.batch_name(number))]
    assert texts == [f"review {n}" for n in range(1000)]


def test_shuffled_batches_do_not_depend_on_the_order_of_rows(store: FolderStorage) -> None:
    """The same reviews give the same bytes in any order of rows; and they are not ordered by number."""
    rows = reviews(0, 1500)
    deliver(store, "shuffled", train=rows)
    first = run(store).outputs
    deliver(store, "shuffled", train=random.Random(1).sample(rows, len(rows)))
    assert run(store).outputs == first
    assert [row["text"] for row in rows_of(store, "batch_00")][:3] != ["review 0", "review 1", "review 2"]


def test_a_fifth_of_every_batch_validates(store: FolderStorage) -> None:
    """In each batch, as in a random sample, so the share does not depend on the order of the batches."""
    deliver(store, "shuffled", train=reviews(0, 20_000), test=reviews(20_000, 20_100))
    run(store)
    for number in range(10):
        parts = [row["part"] for row in rows_of(store, keys.batch_name(number))]
        assert set(parts) == {"train", "validation"}
        assert 0.16 < parts.count("validation") / len(parts) < 0.24  # 4.5 standard deviations at 2000 rows


def test_the_part_of_a_review_is_its_own(store: FolderStorage) -> None:
    """It does not depend on the number of batches and the other reviews in them."""
    deliver(store, "shuffled", train=reviews(0, 1000), test=reviews(1000, 1100))
    run(store, 2)
    before = {row["review_id"]: row["part"] for n in range(2) for row in rows_of(store, keys.batch_name(n))}
    deliver(store, "archive", train=reviews(0, 900), test=reviews(1000, 1100))
    run(store, 5)
    for number in range(5):
        for row in rows_of(store, keys.batch_name(number)):
            assert row["part"] == before[row["review_id"]]


@pytest.mark.parametrize("order", ["shuffled", "archive"])
def test_without_a_test_file_a_tenth_is_held_out(store: FolderStorage, order: str) -> None:
    """The test set is then made of the training file, and what is left is split."""
    deliver(store, order, train=reviews(0, 5000))
    manifest = run(store)
    assert 0.08 < manifest.rows["test"] / 5000 < 0.12
    assert sum(manifest.rows.values()) == 5000
    test = {row["review_id"] for row in rows_of(store, "test")}
    assert len(test) == manifest.rows["test"]
    left = [row for number in range(10) for row in rows_of(store, keys.batch_name(number))]
    assert test.isdisjoint(row["review_id"] for row in left)
    validating = sum(row["part"] == "validation" for row in left)
    assert 0.17 < validating / len(left) < 0.23  # independent bits: holding out took no more of one part


def test_a_shared_review_is_never_published(store: FolderStorage) -> None:
    """If preprocess missed one, the split stops before it changes the store."""
    deliver(store, "shuffled", train=reviews(0, 500), test=reviews(499, 600))
    with pytest.raises(IntegrityError, match=r"batch_0\d shares 1 reviews with the test set"):
        run(store)
    assert store.list("batches/") == []


def test_a_live_delivery_becomes_the_batch_of_its_name(store: FolderStorage) -> None:
    """The test set and all earlier batches stay as they are, and the batch is compared with the test set."""
    deliver(store, "shuffled", train=reviews(0, 500), test=reviews(500, 600))
    seed = run(store)
    deliver(store, "archive", "batch_10", train=reviews(600, 700))
    manifest = run(store, 1, "batch_10")
    assert manifest.rows == {"batch_10": 100}
    assert {row["part"] for row in rows_of(store, "batch_10")} == {"train", "validation"}
    for name, output in seed.outputs.items():
        assert sha256_of(store.root / "batches" / name) == output.sha256
    deliver(store, "archive", "batch_11", train=reviews(599, 700))
    with pytest.raises(IntegrityError, match="batch_11 shares 1 reviews"):
        run(store, 1, "batch_11")


def test_a_batch_of_one_class_is_an_error(store: FolderStorage) -> None:
    """An archive that is sorted by class cannot be split into weeks."""
    rows = sorted(reviews(0, 500), key=lambda row: row[1])
    deliver(store, "archive", train=rows, test=reviews(500, 600))
    with pytest.raises(InputError, match="batch_00 would have 50 negative and 0 positive"):
        run(store)
    assert store.list("batches/") == []


def test_fewer_reviews_than_batches_is_an_error(store: FolderStorage) -> None:
    """The message names the remedy."""
    deliver(store, "archive", train=reviews(0, 4), test=reviews(4, 8))
    with pytest.raises(InputError, match="make fewer batches"):
        run(store)


def test_altered_reviews_are_noticed(store: FolderStorage) -> None:
    """A file that is not what preprocess wrote is not split."""
    deliver(store, "archive", train=reviews(0, 100))
    path = store.root / "processed/seed/train.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError, match=r"processed/seed/train\.parquet"):
        run(store)


def test_nothing_processed_names_the_command(store: FolderStorage) -> None:
    """Without reviews the error names the job that makes them."""
    with pytest.raises(MissingInput, match="ratchet preprocess --delivery seed"):
        run(store)
