"""Unpacks review files from archives, as streams. It writes only files that it names itself, never a member's name."""

from __future__ import annotations

import bz2
import gzip
import re
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import structlog

from ratchet.errors import InputError
from ratchet.jobs import formats

log = structlog.get_logger()

CHUNK = 1 << 20
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}  # by the last suffix
DAMAGE = (EOFError, OSError, zlib.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


def extract(archive: Path, folder: Path) -> dict[str, Path]:
    """Write the training and test file of a .tgz, .tar.gz or .zip into `folder`; returns role → file.

    Files that are compressed in the archive stay compressed. The archive is read to its end, which verifies its
    checksums. Raises InputError if it is damaged, has a member whose name leads outside, or no training file, or two.
    """
    with intact(archive.name):
        return (_unzip if archive.suffix == ".zip" else _untar)(archive, folder)


def read_through(path: Path) -> None:
    """Read a review file to its end if it is compressed. Raises InputError if it is damaged or empty."""
    opener = OPENERS.get(path.suffix)
    if opener is None:
        size = path.stat().st_size
    else:
        with intact(path.name), opener(path, "rb") as file:
            size = copy(file, None, path.name)
    if not size:
        raise InputError(f"{path.name} is empty. Check the export or download that made it.")


def copy(source: IO[bytes] | gzip.GzipFile, target: IO[bytes] | None, name: str) -> int:
    """Copy a stream to `target`, or only read it to its end; logs progress every 5 s. Returns the number of bytes."""
    done, logged = 0, time.monotonic()
    while chunk := source.read(CHUNK):
        done += len(chunk)
        if target:
            target.write(chunk)
        if time.monotonic() - logged >= 5:
            logged = time.monotonic()
            log.info("reading", file=name, mib=done >> 20)
    return done


@contextmanager
def intact(name: str) -> Iterator[None]:
    """Raises InputError for each of the errors that damaged bytes cause; errors of the disk pass unchanged."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name} ends in the middle or is damaged ({error}). Download it again.") from error


def _untar(archive: Path, folder: Path) -> dict[str, Path]:
    names: list[str] = []
    found: dict[str, Path] = {}
    with gzip.open(archive, "rb") as stream:  # tarfile's own "r|gz" checks neither the CRC nor the end
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
            for member in tar:
                _refuse_unsafe(archive.name, member.name, link=member.issym() or member.islnk())
                name = member.name.removeprefix("./")
                if member.isfile() and formats.role_of(name):
                    # A stream cannot go back: unpack every candidate, choose when all names are known.
                    found[name] = _unpack(tar.extractfile(member), folder, len(names), name)
                    names.append(name)
        copy(stream, None, archive.name)
    return {role: found[name] for role, name in formats.pick(names, archive.name).items()}


def _unzip(archive: Path, folder: Path) -> dict[str, Path]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            _refuse_unsafe(archive.name, member.filename, link=stat.S_ISLNK(member.external_attr >> 16))
        found: dict[str, Path] = {}
        picked = formats.pick([member.filename for member in opened.infolist()], archive.name)
        for number, (role, name) in enumerate(picked.items()):
            if opened.getinfo(name).flag_bits & 1:
                raise InputError(f"{name} in {archive.name} is encrypted. Unpack it and give the folder.")
            with opened.open(name) as stream:
                found[role] = _unpack(stream, folder, number, name)
    return found


def _unpack(stream: IO[bytes] | None, folder: Path, number: int, name: str) -> Path:
    if stream is None:  # from tarfile, for a member that is no regular file
        raise InputError(f"{name} is no regular file. Unpack the archive and give the folder.")
    path = folder / f"member-{number}{formats.suffix_of(name)}"
    with path.open("wb") as file:
        copy(stream, file, name)
    return path


def _refuse_unsafe(archive: str, name: str, *, link: bool) -> None:
    """Raises InputError for a link, an absolute name or one with `..`: an archive of reviews needs none of them."""
    steps = re.split(r"[/\\]", name)
    flaws = {
        "is a link": link,
        "has an absolute name": not steps[0] or re.match(r"[A-Za-z]:", name),
        "leads out of the archive": ".." in steps,
    }
    for flaw in (flaw for flaw, found in flaws.items() if found):
        raise InputError(f"{archive} is refused: its member {name!r} {flaw}. Get it from a source you trust.")
