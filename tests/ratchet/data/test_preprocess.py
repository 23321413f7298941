"""Raw files become reviews and a quarantine: no row is lost, no review is there twice, bad deliveries are refused."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.data import preprocess as module
from ratchet.data import records
from ratchet.data.schemas import QUARANTINE, REVIEW, review_id
from ratchet.errors import ConfigurationError, InputError, IntegrityError, MissingInput, TooManyRefused
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.preprocess import Preprocess
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.settings import Settings


def good(start: int, stop: int) -> bytes:
    """Distinct valid lines of alternating classes."""
    return b"".join(b'"%d","title","review %d"\n' % (1 + number % 2, number) for number in range(start, stop))


def deliver(store: FolderStorage, delivery: str = keys.SEED, **files: bytes) -> None:
    """The outputs of ingest: files by role (`train`, `test`; `train_gz` is compressed) and their manifest."""
    prefix, outputs, details = keys.raw(delivery), {}, {}
    for role, data in files.items():
        name = role.replace("_", ".csv.") if "_" in role else f"{role}.csv"
        store.write(f"{prefix}/{name}", data)
        outputs[name] = Output(sha256=sha256_of(store.root / prefix / name), size=len(data))
        details[role.partition("_")[0]] = {"name": name, "form": "csv"}
    manifest = Manifest(job="ingest", prefix=prefix, outputs=outputs, details={"order": "shuffled", "files": details})
    store.write(keys.manifest(prefix), manifest.model_dump_json().encode())


def run(store: FolderStorage, delivery: str = keys.SEED) -> Manifest:
    return Preprocess(delivery=delivery).execute(store, Settings(), force=True)


def quarantined(store: FolderStorage, name: str = "quarantine", delivery: str = keys.SEED) -> list[tuple]:
    table = pq.read_table(store.root / keys.processed(delivery) / f"{name}.parquet")
    assert table.schema.equals(QUARANTINE)
    return [tuple(row.values()) for row in table.to_pylist()]


def accepted(store: FolderStorage, role: str = "train", delivery: str = keys.SEED) -> list[dict]:
    table = pq.read_table(store.root / keys.processed(delivery) / f"{role}.parquet")
    assert table.schema.equals(REVIEW)
    return table.to_pylist()


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path)


def test_a_line_becomes_a_review(store: FolderStorage) -> None:
    """Class 1 is label 0 and class 2 is label 1; the id is that of the words."""
    deliver(store, train=b'"1","Bad","It broke."\n"2","","It works."\n')
    manifest = run(store)
    assert accepted(store) == [
        {"review_id": review_id("Bad", "It broke."), "label": 0, "title": "Bad", "text": "It broke."},
        {"review_id": review_id("", "It works."), "label": 1, "title": "", "text": "It works."},
    ]
    assert manifest.rows == {"read": 2, "accepted": 2, "quarantined": 0, "duplicates": 0}
    assert set(manifest.outputs) == {"train.parquet", "quarantine.parquet"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'"3","t","x"', "label not 1 or 2"),
        (b'"","t","x"', "label not 1 or 2"),
        (b'"1.0","t","x"', "label not 1 or 2"),
        (b'"0","t",""', "label not 1 or 2"),
        (b'"1","only a title"," "', "no text"),
        (b'"1","title","review 40"', "duplicate"),
        (b'"2","t","a\0b"', records.NUL),
        (b'"2","t","a\xffb"', records.NOT_UTF8),
        (b'"2","t","open', records.UNBALANCED),
        (b'"2","t","a "b" c"', records.MISPLACED),
        (b'"2","t"', records.COLUMNS),
        (b'"2","t","' + b"x" * records.LONGEST + b'"', records.TOO_LONG),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(store: FolderStorage, line: bytes, reason: str) -> None:
    """File, line, reason and the beginning of the row are kept, and the manifest counts it."""
    deliver(store, train=good(0, 50) + line + b"\n" + good(50, 100))
    manifest = run(store)
    [(file, number, found, sample)] = quarantined(store)
    assert (file, number, found) == ("train.csv", 51, reason)
    assert 0 < len(sample) <= records.SAMPLE
    assert len(accepted(store)) == 100
    assert manifest.rows == {
        "read": 101,
        "accepted": 100,
        "quarantined": 1,
        "duplicates": int(reason == "duplicate"),
        f"refused: {reason}": 1,
    }


def test_the_quarantine_is_in_the_order_of_the_lines(store: FolderStorage) -> None:
    """Rows refused for any reason are sorted by file and line of the source."""
    deliver(store, train=good(0, 100) + b'"3","t","x"\njunk\n' + good(0, 1), test=good(100, 120) + b"junk\n")
    run(store)
    lines = [(file, line) for file, line, _, _ in quarantined(store)]
    assert lines == [("test.csv", 21), ("train.csv", 101), ("train.csv", 102), ("train.csv", 103)]


def test_of_a_review_in_both_files_the_test_row_stays(store: FolderStorage) -> None:
    """Otherwise a model would be tested on what it was trained on."""
    deliver(store, train=good(0, 100), test=good(90, 110) + good(90, 91))
    manifest = run(store)
    assert len(accepted(store, "test")) == 20
    assert len(accepted(store, "train")) == 90
    assert manifest.rows["refused: duplicate of a test review"] == 10
    assert manifest.rows["refused: duplicate"] == 1
    assert manifest.rows["duplicates"] == manifest.rows["quarantined"] == 11


def test_over_five_percent_refused_is_an_error_and_publishes_the_quarantine(store: FolderStorage) -> None:
    """The summary counts each reason with a sample, and earlier outputs stay as they are."""
    deliver(store, train=good(0, 100))
    before = run(store)
    deliver(store, train=good(0, 94) + b'"7","t","x"\n' * 4 + b"junk\n" * 2)
    with pytest.raises(TooManyRefused, match=r"6 of 100 rows refused, over 5%") as stopped:
        run(store)
    assert "4 label not 1 or 2, first train.csv:95: '7,t,x'" in str(stopped.value)
    assert "2 not three columns, first train.csv:99: 'junk'" in str(stopped.value)
    assert f"{store.uri}/processed/seed/refused.parquet" in str(stopped.value)
    assert len(quarantined(store, "refused")) == 6
    for name, output in before.outputs.items():
        assert sha256_of(store.root / keys.processed(keys.SEED) / name) == output.sha256


def test_five_percent_refused_is_accepted(store: FolderStorage) -> None:
    """The limit is over 5 %, not at it."""
    deliver(store, train=good(0, 95) + b"junk\n" * 5)
    assert run(store).rows["quarantined"] == 5


def test_duplicates_do_not_count_against_a_delivery(store: FolderStorage) -> None:
    """A file with every review twice is not a broken one."""
    deliver(store, train=good(0, 100) * 2)
    assert run(store).rows["duplicates"] == 100


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": b""}, "no row at all"),
        ({"train": b"class,title,text\n"}, "no row at all"),
        ({"train": good(0, 9), "test": b""}, "test.csv: 0 negative and 0 positive"),
        ({"train": b'"1","","a"\n"1","","b"\n'}, "train.csv: 2 negative and 0 positive"),
        ({"train": good(0, 9), "test": good(0, 9)}, "train.csv: 0 negative and 0 positive"),
        ({"train_gz": gzip.compress(good(0, 900))[:-9]}, "train.csv.gz is cut off or damaged"),
    ],
)
def test_a_source_that_cannot_be_trained_on_is_an_error(store: FolderStorage, files: dict, message: str) -> None:
    """Empty, one class, nothing new or cut off: the message names the fault, and there is no manifest."""
    deliver(store, **files)
    with pytest.raises(InputError, match=message):
        run(store)
    assert not store.exists(keys.manifest(keys.processed(keys.SEED)))


def test_altered_raw_bytes_are_noticed(store: FolderStorage) -> None:
    """A file that is not what ingest wrote is not read."""
    deliver(store, train=good(0, 9))
    store.write("raw/seed/train.csv", good(0, 8))
    with pytest.raises(IntegrityError, match=r"raw/seed/train\.csv"):
        run(store)


def test_nothing_delivered_names_the_command(store: FolderStorage) -> None:
    """Without raw files the error names the job that makes them."""
    with pytest.raises(MissingInput, match="ratchet ingest --delivery seed"):
        run(store)


def test_the_same_inputs_give_the_same_bytes(store: FolderStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again elsewhere, every output has the same digest."""
    monkeypatch.setattr(module, "CHUNK_ROWS", 7)  # so that there are many chunks
    files = {"train": good(0, 100) + b"junk\n", "test": good(95, 120)}
    deliver(store, **files)
    again = FolderStorage(store.root / "again")
    deliver(again, **files)
    assert run(store).outputs == run(again).outputs


@pytest.fixture
def ten_weeks(store: FolderStorage) -> FolderStorage:
    """A store whose seed is split into two batches and a test set."""
    deliver(store, train=good(0, 100), test=good(100, 120))
    run(store)
    cut(store, keys.SEED)
    return store


def cut(store: FolderStorage, delivery: str) -> None:
    Split(delivery=delivery, batches=2).execute(store, Settings())


def test_a_live_delivery_adds_only_new_reviews(ten_weeks: FolderStorage) -> None:
    """It is compared with the test set and every earlier batch, live ones too."""
    deliver(ten_weeks, "batch_02", train=good(110, 140))
    run(ten_weeks, "batch_02")
    cut(ten_weeks, "batch_02")
    deliver(ten_weeks, "batch_04", train=good(90, 150))
    manifest = run(ten_weeks, "batch_04")
    assert {row["text"] for row in accepted(ten_weeks, delivery="batch_04")} == {f"review {n}" for n in range(140, 150)}
    assert manifest.rows["refused: duplicate of a test review"] == 20
    assert manifest.rows["refused: duplicate of an earlier batch"] == 10 + 20
    assert set(manifest.inputs) == {"raw/batch_04", "batches/seed", "batches/batch_02"}


def test_a_live_delivery_cannot_take_the_place_of_a_seed_batch(ten_weeks: FolderStorage) -> None:
    """A new batch always has a higher number than all others."""
    for taken in ("batch_01", "week_3"):
        deliver(ten_weeks, taken, train=good(200, 220))
        with pytest.raises(ConfigurationError, match="Name the delivery batch_02 or later"):
            run(ten_weeks, taken)


def test_a_live_delivery_cannot_bring_a_test_file(ten_weeks: FolderStorage) -> None:
    """The test set is frozen."""
    deliver(ten_weeks, "batch_02", train=good(200, 220), test=good(220, 240))
    with pytest.raises(InputError, match="the test set is frozen"):
        run(ten_weeks, "batch_02")


pieces = st.sampled_from([b'"', b",", b"\n", b"\0", b"\xff", b"junk", *good(0, 9).splitlines(keepends=True)])


@settings(max_examples=100, deadline=None)
@given(train=st.lists(pieces).map(b"".join), test=st.lists(pieces).map(b"".join))
def test_every_row_is_accepted_or_quarantined(train: bytes, test: bytes) -> None:
    """For any bytes, reviews and quarantine together have every row that was read, and so do the manifest's counts."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_require_usable", lambda counts, prefix: None)
        store = FolderStorage(Path(folder))
        deliver(store, train=train, test=test)
        rows = run(store).rows
        (store.root / "t").write_bytes(train)
        (store.root / "u").write_bytes(test)
        read = sum(len(list(records.read(store.root / name, "x.csv", "csv"))) for name in "tu")
        assert rows["read"] == read
        assert rows["accepted"] == len(accepted(store)) + len(accepted(store, "test"))
        assert rows["quarantined"] == len(quarantined(store))
        assert rows["accepted"] + rows["quarantined"] == read
        assert sum(count for key, count in rows.items() if key.startswith("refused: ")) == rows["quarantined"]
        ids = [row["review_id"] for role in ("train", "test") for row in accepted(store, role)]
        assert len(ids) == len(set(ids))
