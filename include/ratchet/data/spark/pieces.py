"""Cuts a file of reviews into pieces that give the same records, read one by one, as the whole file.

Only a stream can be cut correctly: a compressed file can be read only from its start, a quote can extend over many
lines, and the number of a line is the count of those before it. So the driver reads every file once, unparsed.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ratchet.data import records

SIZE = 16 << 20  # bytes: one task of a second or two


@dataclass(frozen=True)
class Piece:
    """Lines of a file, in a file of their own; the first of them has the number `first`, from 1.

    Every record of the whole file lies in one piece.
    """

    path: Path
    first: int


def cut(path: Path, name: str, form: str, folder: Path) -> Iterator[Piece]:
    """The pieces of a file, in order. Each one is overwritten by the next. Raises InputError if the file is damaged."""
    first, target = 1, folder / "piece"
    with records.unpacked(path, name) as file:
        for _, lines in groupby(numbered(records.physical_lines(file, name), form), itemgetter(0)):
            count = 0
            with target.open("wb") as piece:
                for _, line in lines:
                    count += 1
                    piece.write(line)
                    if len(line) > records.LONGEST and not line.endswith(b"\n"):
                        piece.write(b"\n")  # the line was cut off, its end with it
            yield Piece(target, first)
            first += count


def numbered(lines: Iterator[bytes], form: str) -> Iterator[tuple[int, bytes]]:
    """Every line with the number of its piece. After SIZE bytes, a piece ends where no record is open.

    Only a line with an odd number of quotes can begin a record of several lines, and only the next such line can end
    it (`records.Lines.join`). So the last such line before a cut, and the first one after it, decide.
    """
    csv.field_size_limit(records.LONGEST)
    opened: list[bytes] = []  # the last line with an odd number of quotes and all after it, within the limits
    ahead: deque[bytes] = deque()  # already read, in search of the closing quote
    number = size = reach = 0
    while line := ahead.popleft() if ahead else next(lines, b""):
        if size >= SIZE and not (opened and may_close(opened, line, ahead, lines)):
            number, size, opened = number + 1, 0, []
        if form == "csv" and line.count(b'"') % 2:
            opened, reach = [line], len(line)
        elif opened:
            opened.append(line)
            reach += len(line)
            if len(opened) > records.LOOKAHEAD or reach > records.LONGEST:
                opened = []
        size += len(line)
        yield number, line


def may_close(opened: list[bytes], line: bytes, ahead: deque[bytes], lines: Iterator[bytes]) -> bool:
    """Whether `opened` may begin a record that ends in `line` or after it. Lines read to find out go to `ahead`."""
    following, size = [line], len(line)
    while following[-1].count(b'"') % 2 == 0:
        place = len(following) - 1
        if place == len(ahead):
            ahead.extend([found for found in [next(lines, b"")] if found])
        if place == len(ahead) or place == records.LOOKAHEAD or size > records.LONGEST:
            return False
        following.append(ahead[place])
        size += len(ahead[place])
    # Bytes that are not UTF-8 are replaced: if it is no record even then, it is none.
    return isinstance(records.csv_columns(b"".join([*opened, *following]).decode(errors="replace")), list)
