r"""Reads files of reviews as a stream of rows and refusals, and checks the columns of a row.

`csv` is class, title and text, with or without quotes, `""` for a quote. In the Kaggle layout every line is one
record and a newline is written `\n`; a general CSV may contain real ones. `fasttext` is `__label__1 Title: text`.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from ratchet.errors import InputError

LONGEST = 1 << 20  # bytes of one record; of a longer one, only the beginning is ever in memory
LOOKAHEAD = 1000  # lines that one open quote may extend over
SAMPLE = 200  # characters of a refused record that the quarantine keeps

TOO_LONG = "longer than 1 MiB"
NUL = "NUL byte"
NOT_UTF8 = "not UTF-8"
UNBALANCED = "unbalanced quotes"
MISPLACED = "misplaced quotes"
COLUMNS = "not three columns"
UNLABELLED = "no __label__"
WRONG_LABEL = "label not 1 or 2"
NO_TEXT = "no text"

LABEL_NAMES = {"class", "label", "polarity"}

Columns = list[str] | str  # label, title and text; or the reason why a record is refused


class Row(NamedTuple):
    """A record with three columns, without outer whitespace. `line` is the number of its first line, from 1."""

    line: int
    label: str
    title: str
    text: str


class Refusal(NamedTuple):
    r"""A record that is refused. `sample` is its first 200 characters, undecodable bytes as \xNN."""

    line: int
    reason: str
    sample: str


def read(path: Path, name: str, form: str) -> Iterator[Row | Refusal]:
    """Every record of a file as a row or a refusal, in order. Empty lines and a header are no records.

    `name` is the source's name of the file (.gz and .bz2 are unpacked); `form` is csv or fasttext. A few MiB are in
    memory at a time. Raises InputError if the file is damaged or its header names other columns.
    """
    with unpacked(path, name) as file:
        yield from rows(file, name, form)


def rows(file: IO[bytes], name: str, form: str, first: int = 1) -> Iterator[Row | Refusal]:
    """The records of an open file, as in `read`, or of a piece of a file that begins with the line `first`."""
    csv.field_size_limit(LONGEST)  # a setting of the whole process; its default refuses fields over 128 KiB
    split = {"csv": csv_columns, "fasttext": fasttext_columns}[form]
    lines = Lines(file, name, first)
    for number, line in lines:
        found = _columns(line, split)
        if found == UNBALANCED:
            found = lines.join(line)
        if isinstance(found, str):
            if line.strip():
                sample = line[: 4 * SAMPLE].decode(errors="backslashreplace").strip()
                yield Refusal(number, found, sample[:SAMPLE])
            continue
        label, title, text = (_clean(column) for column in found)
        if number > 1 or not _is_header(label, title, text, name):
            yield Row(number, label, title, text)


def content_problem(row: Row) -> str | None:
    """The reason to refuse a row: its label is not 1 or 2, or it has no text. None for a review.

    A row with both problems gets the first reason.
    """
    if row.label not in {"1", "2"}:
        return WRONG_LABEL
    return None if row.text else NO_TEXT


def unpacked(path: Path, name: str) -> IO[bytes]:
    """The bytes of a file, unpacked as the suffix of `name` demands."""
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    return io.BufferedReader(openers.get(Path(name).suffix, open)(path, "rb"), LONGEST)


def _columns(line: bytes, split: Callable[[str], Columns]) -> Columns:
    if len(line) > LONGEST:
        return TOO_LONG
    if b"\0" in line:
        return NUL
    try:
        return split(line.decode())
    except UnicodeDecodeError:
        return NOT_UTF8


def csv_columns(record: str) -> Columns:
    """The columns of a CSV record, as Python's csv module reads it in strict mode."""
    try:
        found = next(csv.reader((record,), strict=True))
    except csv.Error as error:
        return UNBALANCED if "unexpected end" in str(error) else MISPLACED
    return found if len(found) == 3 else COLUMNS


def fasttext_columns(record: str) -> Columns:
    """The columns of a fastText line. The title ends at the first `: `; without one, all is text."""
    label, _, rest = record.partition(" ")
    if not label.startswith("__label__"):
        return UNLABELLED
    title, colon, text = rest.partition(": ")
    return [label.removeprefix("__label__"), *((title, text) if colon else ("", rest))]


def _clean(column: str) -> str:
    r"""Undo Kaggle's escapes (`\n` is a newline, `\"` a quote), so that a review has one identity in any layout."""
    if "\\" in column:
        column = column.replace("\\n", "\n").replace('\\"', '"')
    return column.strip()


def _is_header(label: str, title: str, text: str, name: str) -> bool:
    if label.lower() not in LABEL_NAMES:
        return False
    if (title.lower(), text.lower()) != ("title", "text"):
        raise InputError(f"The header of {name} is {label},{title},{text}. It must be class,title,text.")
    return True


class Lines:
    """The physical lines of a file with their numbers. A line over LONGEST is cut to LONGEST + 1 bytes."""

    def __init__(self, file: IO[bytes], name: str, first: int = 1) -> None:
        lines = physical_lines(file, name)
        if first == 1:
            lines = itertools.chain((line.removeprefix(codecs.BOM_UTF8) for line in itertools.islice(lines, 1)), lines)
        self._fresh = enumerate(lines, first)
        self._ahead: deque[tuple[int, bytes]] = deque()  # already read, in search of a closing quote

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while numbered := self._ahead.popleft() if self._ahead else next(self._fresh, None):
            yield numbered

    def join(self, first: bytes) -> Columns:
        """The columns of the record whose quote is open at the end of the line `first`. Takes all its lines, or none.

        Only the next line with an odd number of quotes can close it. So a stray quote costs its own line and never the
        file, and no line is read ahead more than once.
        """
        if first.count(b'"') % 2 == 0:  # a quote inside a bare column is ambiguous
            return UNBALANCED
        record = bytearray(first)
        for place in range(LOOKAHEAD):
            line = self._peek(place)
            record += line
            if not line or len(record) > LONGEST:
                return UNBALANCED
            if line.count(b'"') % 2:
                found = _columns(bytes(record), csv_columns)
                if isinstance(found, str):
                    return UNBALANCED
                for _ in range(place + 1):
                    self._ahead.popleft()
                return found
        return UNBALANCED

    def _peek(self, place: int) -> bytes:
        if place == len(self._ahead):
            self._ahead.extend(itertools.islice(self._fresh, 1))
        return self._ahead[place][1] if place < len(self._ahead) else b""


def physical_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a file; a line over LONGEST is cut to LONGEST + 1 bytes. Raises InputError if it is damaged."""
    try:
        line = file.readline(LONGEST + 1)
        while line:
            yield line
            while len(line) > LONGEST and not line.endswith(b"\n"):
                line = file.readline(LONGEST + 1)
            line = file.readline(LONGEST + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{name} is cut off or damaged ({error}). Fetch it again, then ingest it.") from error
