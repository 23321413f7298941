"""For any reviews, both engines write the same bytes and the same manifests, and refuse the same rows."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.project import REVIEWS
from ratchet.data import external_sort, records
from ratchet.data import preprocess as local
from ratchet.data.spark import pieces
from ratchet.errors import ConfigurationError, InputError, IntegrityError, TooManyRefused
from ratchet.jobs import keys
from ratchet.jobs.ingest import Ingest
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.options import ENGINES
from ratchet.jobs.preprocess import Preprocess
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.settings import Settings

NASTY = [
    b'"1","quotes","she said ""no"" twice"\n',
    b'"2","lines","one\nwith\n\nreal newlines"\n',
    b'"1","lines","a stray "" and\na ""quoted"" line\n"\n',
    b'"2","stray","an open quote\n',
    b'"1","mis"placed,"x"\n',
    b'"2","","a\0b"\n',
    b'"1","latin","caf\xe9"\n',
    b'"3","class","neither"\n',
    b'"2","empty","  "\n',
    b'"1","only two"\n',
    b"\n   \n",
    b"1,bare,no quotes at all\r\n",
    '"2","naïve ☕","Überraschung – très bien 漢字"\n'.encode(),
    b'"1","escaped","a\\nnewline and a \\"quote\\""\n',
    b'"2","long","' + b"word " * 30_000 + b'"\n',
    b'"1","too long","' + b"x" * records.LONGEST + b'"\n',
    b'","\n',
    b'"\n',
]


def good(start: int, stop: int) -> bytes:
    """Distinct valid lines of alternating classes."""
    return b"".join(b'"%d","title","review %d"\n' % (1 + number % 2, number) for number in range(start, stop))


def nasty(seed: int, start: int, stop: int) -> bytes:
    """Valid lines, some of them twice, mixed with lines that have every fault."""
    lines = [*good(start, stop).splitlines(keepends=True), *good(start, start + 20).splitlines(keepends=True), *NASTY]
    return b"".join(random.Random(seed).sample(lines, len(lines)))


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for deliveries. Chunks and pieces are small, so that few reviews make many."""
    monkeypatch.setattr(local, "CHUNK_ROWS", 64)
    monkeypatch.setattr(local, "CHUNK_CHARACTERS", 100_000)
    monkeypatch.setattr(external_sort, "CHUNK_ROWS", 64)
    monkeypatch.setattr(pieces, "SIZE", 5000)
    return tmp_path / "sources"


def write_source(folder: Path, **files: bytes) -> str:
    """A source: files by role, `train_gz` compressed."""
    folder.mkdir(parents=True)
    for role, data in files.items():
        name = role.replace("_", ".csv.") if "_" in role else f"{role}.csv"
        (folder / name).write_bytes(data)
    return str(folder)


def process(store: FolderStorage, engine: str, source: str, delivery: str = keys.SEED, batches: int = 3) -> None:
    """Ingest a source here; preprocess and split it with an engine."""
    settings = Settings(cache=store.root / "cache")
    Ingest(source=source, delivery=delivery).execute(store, settings)
    preprocess(store, engine, delivery)
    Split(delivery=delivery, batches=batches, engine=engine).execute(store, settings)


def preprocess(store: FolderStorage, engine: str, delivery: str = keys.SEED) -> Manifest:
    return Preprocess(delivery=delivery, engine=engine).execute(store, Settings())


def manifests(store: FolderStorage) -> dict[str, tuple]:
    """The content of every manifest, with the order of its counts, without time, memory and launch."""
    found = [Manifest.model_validate_json(store.read(key)) for key in store.list("") if key.endswith(keys.MANIFEST)]
    return {
        each.prefix: (each.digest, each.inputs, each.outputs, list(each.rows.items()), each.details) for each in found
    }


def files(store: FolderStorage) -> dict[str, str]:
    """The digest of every file but the manifests."""
    return {key: sha256_of(store.root / key) for key in store.list("") if not key.endswith(keys.MANIFEST)}


def assert_same(tmp_path: Path, *deliveries: tuple[str, str]) -> FolderStorage:
    """Both engines have the same result for deliveries (source and name) in turn. Returns one of the stores."""
    stores = {engine: FolderStorage(tmp_path / engine) for engine in ENGINES}
    for engine, store in stores.items():
        for source, delivery in deliveries:
            process(store, engine, source, delivery)
    one, other = stores.values()
    assert manifests(one) == manifests(other)
    assert files(one) == files(other)
    return other


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(("form", "seed"), [("train", 1), ("train", 2), ("train_gz", 3)])
def test_a_nasty_source_gives_the_same_bytes(tmp_path: Path, sources: Path, form: str, seed: int) -> None:
    """Duplicates, quotes, NUL, bad bytes and long lines, in the training file, the test file and both."""
    train = b"class,title,text\n" + nasty(seed, 0, 1000)
    test = b"\xef\xbb\xbf" + nasty(-seed, 950, 1100)
    data = gzip.compress(train, mtime=0) if form == "train_gz" else train
    store = assert_same(tmp_path, (write_source(sources, test=test, **{form: data}), keys.SEED))
    rows = Manifest.model_validate_json(store.read(keys.manifest(keys.processed(keys.SEED)))).rows
    assert rows["refused: duplicate"] >= 40
    assert rows["refused: duplicate of a test review"] >= 50
    assert {f"refused: {reason}" for reason in (records.NUL, records.NOT_UTF8, records.TOO_LONG)} <= rows.keys()
    assert pq.read_metadata(store.root / "processed/seed/train.parquet").num_row_groups > 10


@pytest.mark.usefixtures("spark")
def test_without_a_test_file_the_same_reviews_are_held_out(tmp_path: Path, sources: Path) -> None:
    """A shuffled seed that has to give its own test set."""
    store = assert_same(tmp_path, (write_source(sources, train=nasty(4, 0, 1500)), keys.SEED))
    assert 100 < pq.read_metadata(store.root / keys.reviews(keys.TEST)).num_rows < 200


@pytest.mark.usefixtures("spark", "sources")
def test_the_order_of_an_archive_is_kept(tmp_path: Path) -> None:
    """The order is kept if it means time."""
    assert_same(tmp_path, ("synthetic:rows=2000&test_rows=100&weeks=3&drift_week=none", keys.SEED))


@pytest.mark.usefixtures("spark")
def test_a_later_delivery_is_compared_with_the_same_reviews(tmp_path: Path, sources: Path) -> None:
    """The test set and every earlier batch, live ones too."""
    store = assert_same(
        tmp_path,
        (write_source(sources / "seed", train=nasty(5, 0, 800), test=good(800, 900)), keys.SEED),
        (write_source(sources / "third", train=nasty(6, 850, 1300)), "batch_03"),
        (write_source(sources / "fifth", train=good(700, 1600)), "batch_05"),
    )
    rows = Manifest.model_validate_json(store.read(keys.manifest(keys.processed("batch_05")))).rows
    assert rows["refused: duplicate of a test review"] == 100
    assert rows["refused: duplicate of an earlier batch"] == 500


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(
    ("files_of_source", "error"),
    [
        ({"train": good(0, 90) + b'"7","t","x"\n' * 8 + b"junk\n" * 2}, TooManyRefused),
        ({"train": b'"1","","a"\n"1","","b"\n'}, InputError),
        ({"train": b"class,title,body\n" + good(0, 9)}, InputError),
        ({"train": b"class,title,text\n"}, InputError),
    ],
)
def test_what_cannot_be_trained_on_is_the_same_error(
    tmp_path: Path, sources: Path, files_of_source: dict, error: type
) -> None:
    """Class, message and the published quarantine are those of the local engine, and no other file is left."""
    source, messages, left = write_source(sources, **files_of_source), [], []
    for engine in ENGINES:
        store = FolderStorage(tmp_path / engine)
        with pytest.raises(error) as raised:
            process(store, engine, source)
        assert type(raised.value) is error
        messages.append(str(raised.value).replace(store.uri, ""))
        left.append(files(store))
    assert messages[0] == messages[1]
    assert left[0] == left[1]
    assert ("processed/seed/refused.parquet" in left[1]) == ("title,body" not in messages[1])


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("order", ["shuffled", "archive"])
def test_a_batch_of_one_class_is_the_same_error(tmp_path: Path, sources: Path, order: str) -> None:
    """Counted before anything is written."""
    messages = []
    for engine in ENGINES:
        store = FolderStorage(tmp_path / engine)
        process(store, "local", write_source(sources / engine, train=good(0, 300), test=good(300, 310)))
        manifest = Manifest.model_validate_json(store.read(keys.manifest("processed/seed")))
        store.write(keys.manifest("processed/seed"), _ordered(manifest, order))
        with pytest.raises(InputError) as raised:
            _split(store, engine, 290)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("batches", [1, 2, 7])
def test_the_archives_order_gives_the_same_bytes_for_any_number_of_batches(
    tmp_path: Path, sources: Path, batches: int
) -> None:
    """This holds also where the test set is held out of the rows that are cut."""
    source, found = write_source(sources, train=good(0, 1203)), []
    for engine in ENGINES:
        store = FolderStorage(tmp_path / engine)
        process(store, "local", source)
        manifest = Manifest.model_validate_json(store.read(keys.manifest("processed/seed")))
        store.write(keys.manifest("processed/seed"), _ordered(manifest, "archive"))
        found.append((_split(store, engine, batches).outputs, files(store)))
    assert found[0] == found[1]


def _ordered(manifest: Manifest, order: str) -> bytes:
    return manifest.model_copy(update={"details": {"order": order}}).model_dump_json().encode()


def _split(store: FolderStorage, engine: str, batches: int) -> Manifest:
    return Split(batches=batches, engine=engine).execute(store, Settings(), force=True)


@pytest.mark.usefixtures("spark")
def test_altered_bytes_are_noticed_by_tasks_too(tmp_path: Path, sources: Path) -> None:
    """A task's error is the one that the local engine raises."""
    store = FolderStorage(tmp_path / "store")
    process(store, "spark", write_source(sources / "seed", train=good(0, 300), test=good(300, 330)))
    store.write(keys.reviews("batch_01"), b"something else")
    with pytest.raises(IntegrityError, match=r"batches/batch_01\.parquet .* was altered"):
        process(store, "spark", write_source(sources / "third", train=good(400, 500)), "batch_03")


@pytest.mark.usefixtures("spark")
def test_a_result_of_one_engine_is_valid_for_the_other(tmp_path: Path, sources: Path) -> None:
    """The engine is no parameter of the job."""
    store = FolderStorage(tmp_path / "store")
    process(store, "spark", write_source(sources, train=good(0, 300)))
    before = store.read(keys.manifest("processed/seed"))
    preprocess(store, "local")
    assert store.read(keys.manifest("processed/seed")) == before


@pytest.mark.usefixtures("spark")
@pytest.mark.skipif(REVIEWS is None, reason="RATCHET_TEST_REVIEWS names no archive of real reviews")
def test_all_real_reviews_give_the_same_bytes(tmp_path: Path) -> None:
    """Ten batches of 140,152 reviews, in pieces, chunks and row groups of the usual sizes."""
    assert_same(tmp_path, (str(REVIEWS), keys.SEED))


def test_without_java_the_error_names_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Instead of what the launcher prints, and before anything is read."""
    for home in ({"JAVA_HOME": str(tmp_path)}, {}):
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        for name, value in home.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError, match="needs Java 17 or 21"):
            preprocess(FolderStorage(tmp_path / "store"), "spark")
