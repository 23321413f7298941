"""A store holds all old bytes or all new ones under a key, and no key leads out of it."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.errors import ConfigurationError, IntegrityError, MissingInput
from ratchet.jobs.storage import BucketStorage, FolderStorage, open_storage, sha256_of, verified

KILLED_WRITING = """
import os, signal, sys
from pathlib import Path
from ratchet.jobs.storage import FolderStorage

store = FolderStorage(Path(sys.argv[1]))
with store._publish("prefix/key") as aside:
    aside.write_bytes(b"new, but only ha")
    print("half is written", flush=True)
    signal.pause()
"""


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


def test_what_is_written_is_read(store: FolderStorage, tmp_path: Path) -> None:
    """Bytes and files come back as they went in, through every reading method."""
    (tmp_path / "file").write_bytes(b"file")
    store.write("prefix/bytes", b"bytes")
    store.upload(tmp_path / "file", "prefix/deep/file")
    store.download("prefix/deep/file", tmp_path / "copy")
    with store.local("prefix/bytes") as path:
        assert path.read_bytes() == store.read("prefix/bytes") == b"bytes"
    assert (tmp_path / "copy").read_bytes() == b"file"
    assert store.exists("prefix/bytes")
    assert not store.exists("prefix")
    assert store.list("prefix/") == ["prefix/bytes", "prefix/deep/file"]
    assert store.list("prefix/d") == ["prefix/deep/file"]


def test_writing_again_replaces_and_leaves_nothing_aside(store: FolderStorage) -> None:
    """The new bytes stand alone, readable by others."""
    store.write("key", b"old")
    store.write("key", b"new")
    assert store.read("key") == b"new"
    assert [path.name for path in store.root.iterdir()] == ["key"]
    assert (store.root / "key").stat().st_mode & 0o777 == 0o644


def test_what_is_deleted_is_gone(store: FolderStorage) -> None:
    """Alone, and as often as one likes."""
    store.write("prefix/key", b"1")
    store.write("prefix/other", b"2")
    store.delete("prefix/key")
    store.delete("prefix/key")
    assert store.list("") == ["prefix/other"]


def test_a_missing_key_is_named(store: FolderStorage, tmp_path: Path) -> None:
    """Every reading method raises MissingInput with the key and the store."""
    reads = (store.read, lambda key: store.download(key, tmp_path / "out"), lambda key: store.local(key).__enter__())
    for read in reads:
        with pytest.raises(MissingInput, match=r"prefix/nothing is not in the store .*/store"):
            read("prefix/nothing")


def test_a_writer_that_fails_leaves_the_old_bytes(store: FolderStorage, tmp_path: Path) -> None:
    """An upload of a file that is not there changes nothing and leaves nothing aside."""
    store.write("key", b"old")
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "nothing", "key")
    assert store.read("key") == b"old"
    assert [path.name for path in store.root.iterdir()] == ["key"]


def test_a_writer_killed_half_way_leaves_the_old_bytes(store: FolderStorage) -> None:
    """Kill -9 in the middle of a write: the key holds the old bytes, and no list shows the half."""
    store.write("prefix/key", b"old")
    command = [sys.executable, "-c", KILLED_WRITING, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "half is written\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert store.read("prefix/key") == b"old"
    assert store.list("") == ["prefix/key"]


@pytest.mark.parametrize("key", ["../out", "prefix/../../out", "/etc/passwd", "link/out"])
def test_no_key_leads_out(store: FolderStorage, tmp_path: Path, key: str) -> None:
    """Dots, absolute paths and links to elsewhere are refused, for reading and for writing."""
    store.write("inside", b"")
    (store.root / "link").symlink_to(tmp_path)
    for use in (store.exists, store.read, lambda key: store.write(key, b"x"), lambda key: store.upload(tmp_path, key)):
        with pytest.raises(ConfigurationError, match="leads out of the store"):
            use(key)
    assert not (tmp_path / "out").exists()


def test_verified_gives_only_the_bytes_that_were_promised(store: FolderStorage) -> None:
    """The right digest opens the file; altered bytes raise IntegrityError, with the remedy."""
    store.write("key", b"bytes")
    with verified(store, "key", hashlib.sha256(b"bytes").hexdigest()) as path:
        assert sha256_of(path) == hashlib.sha256(b"bytes").hexdigest()
    with (
        pytest.raises(IntegrityError, match="delete its manifest and run the job again"),
        verified(store, "key", "0" * 64),
    ):
        pass


def test_a_store_is_opened_by_its_uri(tmp_path: Path) -> None:
    """A folder, a file: URI and a bucket are stores; anything else is an error that names the two forms."""
    for uri in (str(tmp_path), f"file://{tmp_path}"):
        opened = open_storage(uri)
        assert isinstance(opened, FolderStorage)
        assert opened.root == tmp_path.resolve()
    bucket = open_storage("s3://bucket/some/prefix/")
    assert isinstance(bucket, BucketStorage)
    assert (bucket.bucket, bucket.prefix, bucket.uri) == ("bucket", "some/prefix", "s3://bucket/some/prefix")
    with pytest.raises(ConfigurationError, match="neither a folder nor s3"):
        open_storage("gs://bucket")
