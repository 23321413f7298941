"""Rows on this machine's disk that the sink does not have yet: a bounded number of append-only files.

A writer holds a lock on the file that it appends to, and whoever replays one on that; the kernel takes a dead process's
locks away. So several processes may share the folder, and what a killed one left is replayed by any other.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import structlog

from ratchet.errors import ServiceUnavailable
from ratchet.jobs.storage import flush_folder
from ratchet.prediction_log.feedback import Feedback
from ratchet.prediction_log.predictions import Prediction

log = structlog.get_logger()

SEGMENT_BYTES = 4 << 20
ASIDE = ".unreadable"
KINDS = {"prediction": Prediction, "feedback": Feedback}


class SpoolFull(ServiceUnavailable):
    """The spool takes no more rows: it is as large as it may be, or its disk is full."""


class Segment:
    """A file that nobody writes to any more, and that this process alone may replay."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.size = path, path.stem, path.stat().st_size
        self._unreadable = 0

    def rows(self) -> tuple[list[Prediction], list[Feedback]]:
        """What is in it. A last line without an end was torn by a kill, before anybody was told that it was kept."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        found = [_row(line) for line in whole.splitlines()]
        self._unreadable = found.count(None)
        predictions = [row for row in found if isinstance(row, Prediction)]
        return predictions, [row for row in found if isinstance(row, Feedback)]

    def forget(self) -> None:
        """Called when the sink has its rows. What another version of the code wrote is put aside, for a person."""
        if self._unreadable:
            log.error("rows in the spool cannot be read", rows=self._unreadable, kept=f"{self.path}{ASIDE}")
            self.path.rename(f"{self.path}{ASIDE}")
        else:
            self.path.unlink()


class Spool:
    """The spool of one process, in a folder that others may share. Only `segments` may be used by a second thread."""

    def __init__(self, root: Path, most_bytes: int) -> None:
        self.root, self.most_bytes = root.expanduser(), most_bytes
        self._file: int | None = None
        self._size, self._used = 0, self.bytes()

    def bytes(self) -> int:
        """How large it is, with what other processes have in it."""
        return sum(_bytes_of(path) for path in self._paths())

    def append(self, rows: Iterable[Prediction | Feedback]) -> None:
        """Keep rows, durably when it returns. Raises SpoolFull, and then it keeps none of them."""
        content = b"".join(map(_line, rows))
        if self._used + len(content) > self.most_bytes:
            self._used = self.bytes()  # some of it may have been replayed
        if self._used + len(content) > self.most_bytes:
            raise SpoolFull(f"The spool {self.root} has reached {self.most_bytes} bytes. Bring the sink back.")
        try:
            file = self._open()
            try:
                _write(file, content)
                os.fsync(file)
            except OSError:
                self._undo(file)
                raise
        except OSError as error:
            raise SpoolFull(f"The spool {self.root} cannot be written to: {error}. Make room on its disk.") from error
        self._size += len(content)
        self._used += len(content)
        if self._size >= SEGMENT_BYTES:
            self.seal()

    def seal(self) -> None:
        """End the file that is appended to, so that it can be replayed."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0

    def segments(self) -> Iterator[Segment]:
        """What can be replayed, oldest first; each is this process's own until the next is asked for."""
        for path in sorted(self._paths()):
            with _taken(path) as mine:
                if mine:
                    yield Segment(path)

    def _paths(self) -> list[Path]:
        return list(self.root.glob("*.jsonl"))

    def _open(self) -> int:
        """The file to append to. A new one is held before it counts: another process may take it for a dead one's."""
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self.seal()  # somebody cleared the folder, so nobody would find what is appended
        while self._file is None:
            self.root.mkdir(parents=True, exist_ok=True)
            self._used = self.bytes()
            path = self.root / f"{new_name()}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                self._file = file
            else:
                os.close(file)
            flush_folder(self.root)
        return self._file

    def _undo(self, file: int) -> None:
        """Take back what was half written; if that fails as well, nothing is appended to it any more."""
        try:
            os.ftruncate(file, self._size)
        except OSError:
            self.seal()


def new_name() -> str:
    """Of a segment, and of the file made of it: unlike any other, and sorted by time."""
    return f"{time.time_ns()}-{uuid4().hex}"


@contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Whether the file is there and this process's own for as long as the block runs."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # replayed by another process
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def _line(row: Prediction | Feedback) -> bytes:
    kind = "prediction" if isinstance(row, Prediction) else "feedback"
    return f"{json.dumps({kind: row.fields()})}\n".encode()


def _row(line: bytes) -> Prediction | Feedback | None:
    try:
        ((kind, fields),) = json.loads(line).items()
        return KINDS[kind].of(fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
