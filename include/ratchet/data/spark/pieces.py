"""A file of reviews cut into pieces that can be read each for itself, as if the whole had been read.

Only a stream can be cut right: a compressed file has no other way in, a quote can reach over many lines, and a line's
number is the count of those before it. So the driver reads every file through once, without parsing it.
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

SIZE = 16 << 20  # bytes: one task's work of a second or two


@dataclass(frozen=True)
class Piece:
    """Lines of a file from the line `first` (from 1) on. No record of the file reaches into it or out of it."""

    path: Path
    first: int


def cut(path: Path, name: str, form: str, folder: Path) -> Iterator[Piece]:
    """The pieces of a file, in order, each until the next one is asked for. Raises InputError if it is damaged."""
    first, target = 1, folder / "piece"
    with records.unpacked(path, name) as file:
        for _, lines in groupby(numbered(records.physical_lines(file, name), form), itemgetter(0)):
            count = 0
            with target.open("wb") as piece:
                for _, line in lines:
                    count += 1
                    piece.write(line)
                    if len(line) > records.LONGEST and not line.endswith(b"\n"):
                        piece.write(b"\n")  # the rest of the line was left out, but its end is one
            yield Piece(target, first)
            first += count


def numbered(lines: Iterator[bytes], form: str) -> Iterator[tuple[int, bytes]]:
    """Every line with the number of its piece. A new one begins behind SIZE bytes where no record reaches into it.

    Only a line with an odd number of quotes can begin a record of several lines, and only the next such line can end
    it (`records.Lines.join`). So what matters is the last one before a line, and the first one from it on.
    """
    csv.field_size_limit(records.LONGEST)
    opened: list[bytes] = []  # the last line with an odd number of quotes and all after it, while within reach
    ahead: deque[bytes] = deque()  # read already, in search of the closing quote
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
    """Whether what `opened` begins may be a record that ends in `line` or after it. Lines looked at go to `ahead`."""
    following, size = [line], len(line)
    while following[-1].count(b'"') % 2 == 0:
        place = len(following) - 1
        if place == len(ahead):
            ahead.extend([found for found in [next(lines, b"")] if found])
        if place == len(ahead) or place == records.LOOKAHEAD or size > records.LONGEST:
            return False
        following.append(ahead[place])
        size += len(ahead[place])
    # What is no record even if bytes that are not UTF-8 are overlooked, is none.
    return isinstance(records.csv_columns(b"".join([*opened, *following]).decode(errors="replace")), list)
