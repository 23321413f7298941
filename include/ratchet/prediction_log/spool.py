"""The spool: append-only files of limited total size on this machine's disk, with rows that the sink does not have.

A writer locks the file that it appends to, and a reader the file that it replays; the kernel releases the locks of a
dead process. So several processes may share the folder, and the files of a killed process are replayed by any other.
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
from ratchet.prediction_log.records import FeedbackRecord, LogRecord, PredictionRecord

log = structlog.get_logger()

SEGMENT_BYTES = 4 << 20
UNREADABLE = ".unreadable"
KINDS: dict[str, type[PredictionRecord] | type[FeedbackRecord]] = {
    "prediction": PredictionRecord,
    "feedback": FeedbackRecord,
}


class SpoolFull(ServiceUnavailable):
    """The spool accepts no more rows: it has reached its size limit, or its disk is full."""


class Segment:
    """A complete file of the spool that this process has locked for replay."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.size = path, path.stem, path.stat().st_size
        self._unreadable = 0

    def rows(self) -> tuple[list[PredictionRecord], list[FeedbackRecord]]:
        """The rows of the file. An incomplete last line is ignored: a kill cut it off before its write returned."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        found = [_parse(line) for line in whole.splitlines()]
        self._unreadable = found.count(None)
        predictions = [row for row in found if isinstance(row, PredictionRecord)]
        return predictions, [row for row in found if isinstance(row, FeedbackRecord)]

    def remove(self) -> None:
        """Delete the file once the sink has its rows. A file with unreadable rows is renamed instead, for a person.

        Rows are unreadable if another version of the code wrote them.
        """
        if self._unreadable:
            kept = f"{self.path}{UNREADABLE}"
            log.error("the spool has rows that cannot be read", rows=self._unreadable, kept=kept)
            self.path.rename(kept)
        else:
            self.path.unlink()


class Spool:
    """The spool of one process, in a folder that others may share. Only `segments` may be called by a second thread."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root, self.max_bytes = root.expanduser(), max_bytes
        self._file: int | None = None
        self._size, self._used = 0, self.bytes()

    def bytes(self) -> int:
        """Size of the folder's files in bytes, those of other processes included."""
        return sum(_size_of(path) for path in self._paths())

    def append(self, rows: Iterable[LogRecord]) -> None:
        """Append rows; they are on disk when it returns. Raises SpoolFull, and then none of them is stored."""
        content = b"".join(map(_format, rows))
        if self._used + len(content) > self.max_bytes:
            self._used = self.bytes()  # some files may have been replayed
        if self._used + len(content) > self.max_bytes:
            raise SpoolFull(f"The spool {self.root} has reached {self.max_bytes} bytes. Repair the sink.")
        try:
            file = self._open()
            try:
                _write(file, content)
                os.fsync(file)
            except OSError:
                self._truncate(file)
                raise
        except OSError as error:
            raise SpoolFull(f"The spool {self.root} cannot be written to: {error}. Free space on its disk.") from error
        self._size += len(content)
        self._used += len(content)
        if self._size >= SEGMENT_BYTES:
            self.seal()

    def seal(self) -> None:
        """Close the current file, so that it can be replayed."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0

    def segments(self) -> Iterator[Segment]:
        """The files that can be replayed, oldest first; each is locked until the iteration goes on."""
        for path in sorted(self._paths()):
            with _locked(path) as locked:
                if locked:
                    yield Segment(path)

    def _paths(self) -> list[Path]:
        return list(self.root.glob("*.jsonl"))

    def _open(self) -> int:
        """The file to append to. Another process may delete a new file before it is locked; then one more is made."""
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self.seal()  # the file was deleted, so rows appended to it would be lost
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

    def _truncate(self, file: int) -> None:
        """Remove a partial write; if that fails as well, the file is closed."""
        try:
            os.ftruncate(file, self._size)
        except OSError:
            self.seal()


def new_name() -> str:
    """A unique name for a segment and the file made of it; names sort by time."""
    return f"{time.time_ns()}-{uuid4().hex}"


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Lock a file for the block. False if it does not exist or another process has locked it."""
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


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def _format(row: LogRecord) -> bytes:
    kind = "prediction" if isinstance(row, PredictionRecord) else "feedback"
    return f"{json.dumps({kind: row.to_fields()})}\n".encode()


def _parse(line: bytes) -> LogRecord | None:
    try:
        ((kind, fields),) = json.loads(line).items()
        return KINDS[kind].from_fields(fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
