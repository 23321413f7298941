"""The files of every form of source are stored under the name of their role, or the source is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import tarfile
import zipfile
from pathlib import Path

import boto3
import pytest

from ratchet.errors import ConfigurationError, InputError, IntegrityError
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import SourceFile
from ratchet.sources import kaggle
from ratchet.sources.ingest import ingest

TRAIN = b'"2","Fine","It works."\n' * 500
TEST = b'"1","","It broke."\n' * 50
FASTTEXT = b"__label__2 Fine: It works.\n" * 500


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder for the source's files."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def ingested(context: JobContext, source: object, delivery: str = "seed") -> dict[str, bytes]:
    """The stored files of a source: name → bytes."""
    ingest(context, str(source), delivery, context.folder.parent / "cache")
    return {name: context.storage.read(f"{context.prefix}/{name}") for name in sorted(context.outputs)}


def archive(source: Path, files: dict[str, bytes]) -> Path:
    """A .tgz of the files, with Kaggle's layout."""
    path = source / "amazon_review_polarity_csv.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            (source / name).write_bytes(data)
            tar.add(source / name, f"amazon_review_polarity_csv/{name}")
            (source / name).unlink()
    return path


def test_kaggles_archive(context: JobContext, source: Path) -> None:
    """Its two files are unpacked, and the manifest names their roles and the archive that they came from."""
    path = archive(source, {"train.csv": TRAIN, "test.csv": TEST})
    assert ingested(context, path) == {"train.csv": TRAIN, "test.csv": TEST}
    assert context.details.model_dump() == {
        "order": "shuffled",
        "files": {"train": {"name": "train.csv", "form": "csv"}, "test": {"name": "test.csv", "form": "csv"}},
        "source_sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
    }


def test_a_zip(context: JobContext, source: Path) -> None:
    """A zip is unpacked, too."""
    with zipfile.ZipFile(source / "reviews.zip", "w") as opened:
        opened.writestr("train.csv", TRAIN)
    assert ingested(context, source / "reviews.zip") == {"train.csv": TRAIN}


@pytest.mark.parametrize("below", ["", "amazon_review_polarity_csv"])
def test_a_folder(context: JobContext, source: Path, below: str) -> None:
    """Its files are found at the top or one folder down; compressed ones stay compressed."""
    (source / below).mkdir(exist_ok=True)
    (source / below / "train.csv.gz").write_bytes(gzip.compress(TRAIN, mtime=0))
    (source / below / "test.csv").write_bytes(TEST)
    assert ingested(context, source) == {"train.csv.gz": gzip.compress(TRAIN, mtime=0), "test.csv": TEST}


def test_a_training_file_comes_with_its_test_file(context: JobContext, source: Path) -> None:
    """With train.csv, test.csv beside it is stored as well."""
    (source / "train.csv").write_bytes(TRAIN)
    (source / "test.csv").write_bytes(TEST)
    assert ingested(context, source / "train.csv") == {"train.csv": TRAIN, "test.csv": TEST}


def test_a_single_file_is_the_training_file(context: JobContext, source: Path) -> None:
    """Its name does not matter; only its suffix counts."""
    (source / "export-2026.csv.gz").write_bytes(gzip.compress(TRAIN, mtime=0))
    assert list(ingested(context, source / "export-2026.csv.gz")) == ["train.csv.gz"]
    assert context.details.files == {"train": SourceFile(name="train.csv.gz", form="csv")}


def test_the_fasttext_form(context: JobContext, source: Path) -> None:
    """train.ft.txt.bz2 and its test file keep their form."""
    (source / "train.ft.txt.bz2").write_bytes(bz2.compress(FASTTEXT))
    (source / "test.ft.txt.bz2").write_bytes(bz2.compress(FASTTEXT[:27]))
    assert list(ingested(context, source / "train.ft.txt.bz2")) == ["test.ft.txt.bz2", "train.ft.txt.bz2"]
    assert context.details.files["train"] == SourceFile(name="train.ft.txt.bz2", form="fasttext")


def test_a_later_delivery_has_no_test_file(context: JobContext, source: Path) -> None:
    """The test set is frozen with the seed: in batch_10 only the training file is stored."""
    path = archive(source, {"train.csv": TRAIN, "test.csv": TEST})
    assert list(ingested(context, path, "batch_10")) == ["train.csv"]
    context.outputs.clear()
    with tarfile.open(path) as tar:
        tar.extractall(source, filter="data")
    assert list(ingested(context, source, "batch_10")) == ["train.csv"]


def test_synthetic_reviews(context: JobContext) -> None:
    """They are in the order of their weeks, and the manifest records this order."""
    made = ingested(context, "synthetic:rows=500&test_rows=40")
    assert [data.count(b"\n") for data in made.values()] == [40, 500]
    assert context.details.order == "archive"


def test_an_object_in_s3(context: JobContext, bucket: str) -> None:
    """A key is downloaded with the test file beside it, and the cache keeps both."""
    client = boto3.client("s3")
    client.put_object(Bucket=bucket, Key="in/train.csv.gz", Body=gzip.compress(TRAIN, mtime=0))
    client.put_object(Bucket=bucket, Key="in/test.csv.gz", Body=gzip.compress(TEST, mtime=0))
    assert list(ingested(context, f"s3://{bucket}/in/train.csv.gz")) == ["test.csv.gz", "train.csv.gz"]
    assert len(list(context.folder.parent.glob("cache/s3/*/*/*.csv.gz"))) == 2


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_prefix_in_s3(context: JobContext, bucket: str, slash: str) -> None:
    """A prefix is a folder: its files are found one level down, and no other object is downloaded."""
    for name, data in {"train.csv": TRAIN, "test.csv": TEST, "readme.txt": b"hello"}.items():
        boto3.client("s3").put_object(Bucket=bucket, Key=f"in/polarity/{name}", Body=data)
    assert ingested(context, f"s3://{bucket}/in{slash}") == {"train.csv": TRAIN, "test.csv": TEST}
    assert not list(context.folder.parent.glob("cache/**/readme.txt"))


def test_an_archive_in_s3(context: JobContext, bucket: str, source: Path) -> None:
    """It is downloaded, and unpacked from the cache."""
    path = archive(source, {"train.csv": TRAIN})
    boto3.client("s3").upload_file(str(path), bucket, "polarity.tgz")
    assert ingested(context, f"s3://{bucket}/polarity.tgz") == {"train.csv": TRAIN}


def test_an_empty_prefix_in_s3_is_refused(context: JobContext, bucket: str) -> None:
    """An empty prefix has no training file, and the message repeats the URI."""
    with pytest.raises(InputError, match=f"s3://{bucket}/nothing has no training file"):
        ingested(context, f"s3://{bucket}/nothing")


def test_a_damaged_download_is_fetched_again(context: JobContext, bucket: str) -> None:
    """A truncated object is refused and leaves the cache, so that the next run downloads it again."""
    whole = gzip.compress(TRAIN, mtime=0)
    boto3.client("s3").put_object(Bucket=bucket, Key="train.csv.gz", Body=whole[:-5])
    with pytest.raises(InputError, match="Download it again"):
        ingested(context, f"s3://{bucket}/train.csv.gz")
    assert not list(context.folder.parent.glob("cache/**/*.gz"))


def test_a_kaggle_dataset(context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zip that Kaggle's client leaves in the cache is unpacked."""

    def fetch(dataset: str, cache: Path) -> Path:
        path = tmp_path / f"{dataset.replace('/', '-')}.zip"
        with zipfile.ZipFile(path, "w") as opened:
            opened.writestr("train.csv", TRAIN)
        return path

    monkeypatch.setattr(kaggle, "fetch", fetch)
    assert ingested(context, "kaggle:someone/reviews") == {"train.csv": TRAIN}
    assert list(context.details.source_sha256) == ["someone-reviews.zip"]


def test_a_pin_that_matches(context: JobContext, source: Path) -> None:
    """A source pinned to its own digest is stored."""
    path = archive(source, {"train.csv": TRAIN})
    pin = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ingested(context, f"{path}#sha256={pin}") == {"train.csv": TRAIN}


def test_a_pin_that_does_not_match_leaves_the_users_file(context: JobContext, source: Path) -> None:
    """Other bytes are refused, nothing enters the store, and a local file stays where it is."""
    (source / "train.csv").write_bytes(TRAIN)
    with pytest.raises(IntegrityError, match="is pinned to 0000"):
        ingested(context, f"{source / 'train.csv'}#sha256={'0' * 64}")
    assert not context.outputs
    assert (source / "train.csv").exists()


def test_a_pin_that_does_not_match_removes_the_download(context: JobContext, bucket: str) -> None:
    """The bad file leaves the cache, so the next run downloads it again."""
    boto3.client("s3").put_object(Bucket=bucket, Key="train.csv", Body=TRAIN)
    with pytest.raises(IntegrityError, match="is pinned to 0000"):
        ingested(context, f"s3://{bucket}/train.csv#sha256={'0' * 64}")
    assert not list(context.folder.parent.glob("cache/**/*.csv"))
    pin = hashlib.sha256(TRAIN).hexdigest()
    assert ingested(context, f"s3://{bucket}/train.csv#sha256={pin}") == {"train.csv": TRAIN}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A source is one of: synthetic:"),
        ("nowhere/train.csv", "no file or folder here"),
        ("ftp://host/train.csv", "no file or folder here"),
        ("postgresql+psycopg://user:secret@host/shop?table=reviews", "through the DAG"),
        ("kaggle:reviews", "kaggle:owner/dataset"),
        ("synthetic:rows=none", "is no int"),
        (f"synthetic:#sha256={'0' * 64}", "made, not fetched"),
        ("train.csv#sha256=abc", "is no SHA-256"),
    ],
)
def test_what_is_no_source_is_refused(context: JobContext, text: str, message: str) -> None:
    """The message lists the forms of sources, or names the fault of this one; it never contains a password."""
    with pytest.raises(ConfigurationError, match=message) as refusal:
        ingested(context, text)
    assert "secret" not in str(refusal.value)


def test_a_pin_on_a_folder_is_refused(context: JobContext, source: Path) -> None:
    """A folder has no digest."""
    with pytest.raises(ConfigurationError, match="pins one file"):
        ingested(context, f"{source}#sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no training file"),
        ({"test.csv": TEST}, "has no training file"),
        ({"train.csv": TRAIN, "train.csv.gz": TRAIN}, "has two train files, train.csv and train.csv.gz"),
        ({"train.csv": b""}, "train.csv is empty"),
        ({"train.csv": TRAIN, "test.csv": b""}, "test.csv is empty"),
        ({"train.csv.gz": gzip.compress(TRAIN)[:-5]}, "train.csv.gz ends in the middle .* Download it again"),
        ({"train.ft.txt.bz2": bz2.compress(FASTTEXT)[:-5]}, "train.ft.txt.bz2 ends in the middle"),
    ],
)
def test_bad_folders_are_refused(context: JobContext, source: Path, files: dict[str, bytes], message: str) -> None:
    """The message names the fault, and nothing is stored."""
    for name, data in files.items():
        (source / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        ingested(context, source)
    assert not context.outputs


def test_a_file_of_another_kind_is_refused(context: JobContext, source: Path) -> None:
    """For an unknown suffix, the message lists the known ones."""
    (source / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"Use \.csv or \.ft\.txt"):
        ingested(context, source / "train.parquet")
