"""Review files are unpacked from archives, and unsafe or damaged archives are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.sources import archives

ROWS = b'"2","Fine","It works."\n' * 1000
Members = list[tuple[str, bytes]]


def tgz(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def zipped(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def packed(folder: Path, kind: str, members: Members) -> Path:
    return (zipped if kind == "zip" else tgz)(folder / f"reviews.{kind}", members)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder into which members are unpacked."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture(params=["tgz", "tar.gz", "zip"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("folder", ["", "./", "amazon_review_polarity_csv/"])
def test_both_files_are_unpacked(tmp_path: Path, out: Path, kind: str, folder: str) -> None:
    """Training and test file, at the top or one folder down, keep their bytes; other members are not unpacked."""
    members = [(f"{folder}readme.txt", b"hello"), (f"{folder}train.csv", ROWS), (f"{folder}test.csv", ROWS[:50])]
    found = archives.extract(packed(tmp_path, kind, members), out)
    assert {role: path.read_bytes() for role, path in found.items()} == {"train": ROWS, "test": ROWS[:50]}
    assert len(list(out.iterdir())) == 2


def test_compressed_members_stay_compressed(tmp_path: Path, out: Path, kind: str) -> None:
    """A train.ft.txt.bz2 inside an archive keeps its bytes and its suffix."""
    data = bz2.compress(b"__label__2 Fine: It works.\n")
    found = archives.extract(packed(tmp_path, kind, [("train.ft.txt.bz2", data)]), out)
    assert found["train"].name.endswith(".ft.txt.bz2")
    assert found["train"].read_bytes() == data


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_archive_is_found(tmp_path: Path, out: Path, kind: str, keep: float) -> None:
    """This holds at any byte, even after the last member, and the message names the remedy."""
    path = packed(tmp_path, kind, [("train.csv", os.urandom(100_000)), ("notes.bin", os.urandom(100_000))])
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(InputError, match=r"reviews\.\S+ ends in the middle or is damaged .* Download it again"):
        archives.extract(path, out)


def test_a_flipped_bit_is_found(tmp_path: Path, out: Path, kind: str) -> None:
    """One wrong byte inside the training file fails the archive's checksum."""
    path = packed(tmp_path, kind, [("train.csv", os.urandom(100_000))])
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        archives.extract(path, out)


def test_what_is_no_archive_is_refused(tmp_path: Path, out: Path, kind: str) -> None:
    """A web page saved under an archive's name is not unpacked."""
    path = tmp_path / f"reviews.{kind}"
    path.write_bytes(b"<html>Sign in</html>")
    with pytest.raises(InputError, match="is damaged"):
        archives.extract(path, out)


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("../train.csv", "leads out of the archive"),
        ("a/../../train.csv", "leads out of the archive"),
        ("a\\..\\..\\x", "leads out of the archive"),
        ("/etc/train.csv", "has an absolute name"),
        ("C:\\train.csv", "has an absolute name"),
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, out: Path, kind: str, name: str, flaw: str) -> None:
    """The archive is refused whole, naming the member, and nothing is written outside."""
    path = packed(tmp_path, kind, [("train.csv", ROWS), (name, b"evil")])
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=flaw) as refusal:
        archives.extract(path, out)
    assert repr(name) in str(refusal.value)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(tmp_path: Path, out: Path, link: bytes) -> None:
    """Neither symbolic nor hard links are followed or made."""
    path = tmp_path / "reviews.tgz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("train.csv")
        entry.type, entry.linkname = link, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(InputError, match=r"'train\.csv' is a link"):
        archives.extract(path, out)


def test_links_in_a_zip_are_refused(tmp_path: Path, out: Path) -> None:
    """A zip marks a symbolic link in its attributes."""
    entry = zipfile.ZipInfo("train.csv")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "reviews.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match=r"'train\.csv' is a link"):
        archives.extract(path, out)


def test_an_encrypted_member_is_refused(tmp_path: Path, out: Path) -> None:
    """A member marked as encrypted is named, with what to do."""
    path = zipped(tmp_path / "reviews.zip", [("train.csv", ROWS)])
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        archives.extract(path, out)


@pytest.mark.parametrize("names", [["readme.txt"], ["test.csv"], ["a/b/train.csv"]])
def test_an_archive_without_a_training_file_is_refused(tmp_path: Path, out: Path, kind: str, names: list[str]) -> None:
    """This holds also if there is only a test file, or the training file is too many folders down."""
    with pytest.raises(InputError, match="has no training file"):
        archives.extract(packed(tmp_path, kind, [(name, ROWS) for name in names]), out)


@pytest.mark.parametrize("names", [["train.csv", "a/train.csv"], ["train.csv", "train.ft.txt.bz2"]])
def test_two_training_files_are_refused(tmp_path: Path, out: Path, kind: str, names: list[str]) -> None:
    """The user must remove one of them."""
    with pytest.raises(InputError, match="has two train files"):
        archives.extract(packed(tmp_path, kind, [(name, ROWS) for name in names]), out)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path: Path, out: Path, kind: str) -> None:
    """Archives can have two members of one name; neither is chosen."""
    with pytest.raises(InputError, match="has two train files"):
        archives.extract(packed(tmp_path, kind, [("train.csv", ROWS), ("train.csv", ROWS[:50])]), out)


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_file_is_read_to_its_end(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    """A complete file passes; one that lacks its last bytes, or is empty, does not."""
    path = tmp_path / f"train.csv{suffix}"
    path.write_bytes(compress(ROWS))
    archives.read_through(path)
    path.write_bytes(compress(ROWS)[:-3])
    with pytest.raises(InputError, match="ends in the middle"):
        archives.read_through(path)
    path.write_bytes(compress(b""))
    with pytest.raises(InputError, match="is empty"):
        archives.read_through(path)


def test_an_error_of_the_disk_is_not_reported_as_damage(tmp_path: Path, kind: str) -> None:
    """If the folder to unpack into is missing, the error names that, not a bad archive."""
    with pytest.raises(FileNotFoundError):
        archives.extract(packed(tmp_path, kind, [("train.csv", ROWS)]), tmp_path / "missing")
