"""Counts of words and word pairs, hashed to 2^22 columns: scikit-learn's `HashingVectorizer`, compiled.

A word is two or more letters, digits or underscores of the lower-cased text. Words and pairs of neighbouring words,
joined by one blank, are hashed as scikit-learn's `FeatureHasher` does: MurmurHash3_x86_32 (Appleby 2011) of the UTF-8
bytes with seed 0, of which the absolute value modulo 2^22 is the column. ASCII text is read directly from Arrow's
buffers. Beyond ASCII, lower case has rules that only Python implements (İ becomes two characters, Σ depends on its
place in the word), so other reviews are lower-cased by Python first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.features.document import document
from ratchet.features.ngram_counts import BITS, COLUMN, MOST, Array, Counts, u4
from ratchet.kernels.runtime import compiled, in_slices

if TYPE_CHECKING:
    import pyarrow as pa  # 150 MB, which the serving image does not have

ROWS = 1024  # reviews of one slice: about half a megabyte of text, some milliseconds

LOWER = np.zeros(256, np.uint8)  # the lower case of an ASCII byte of a word; 0 for a byte that belongs to no word
for _byte in b"abcdefghijklmnopqrstuvwxyz0123456789_":
    LOWER[_byte] = LOWER[ord(chr(_byte).upper())] = _byte


def _bytes(buffer: Any) -> Array:
    """Text as a read-only array of bytes. Kernels are compiled for this kind of array only."""
    found = np.frombuffer(buffer, np.uint8)
    found.flags.writeable = False
    return found


NOTHING = _bytes(b"")


def count(documents: Sequence[str]) -> Counts:
    """Counts of n documents, each by itself."""
    rows = len(documents)
    texts = _joined(map(_encoded, documents))
    wide = NOTHING if all(map(str.isascii, documents)) else letters()
    return _count(np.zeros(rows + 1, np.int64), NOTHING, *texts, np.full(rows, -1), *_joined([]), wide)


def count_reviews(titles: pa.StringArray, texts: pa.StringArray) -> Counts:
    """Counts of n reviews, as of `document(title, text)` each, without making Python strings of those in ASCII."""
    title_at, title = _buffers(titles)
    text_at, text = _buffers(texts)
    other_of = np.full(len(texts), -1)
    foreign = np.flatnonzero(_beyond_ascii(title_at, title) | _beyond_ascii(text_at, text))
    other_of[foreign] = np.arange(len(foreign))
    others = _joined(_encoded(document(titles[row].as_py(), texts[row].as_py())) for row in foreign.tolist())
    return _count(title_at, title, text_at, text, other_of, *others, letters() if len(foreign) else NOTHING)


def _encoded(text: str) -> bytes:
    return text.encode() if text.isascii() else text.lower().encode("utf-8", "surrogatepass")


def _joined(texts: Any) -> tuple[Array, Array]:
    """The start of each text, shape (n + 1,), and the bytes of all."""
    encoded = list(texts)
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(each) for each in encoded], out=starts[1:])
    return starts, _bytes(b"".join(encoded))


def _buffers(texts: pa.StringArray) -> tuple[Array, Array]:
    """The start of each text in Arrow's buffer, shape (n + 1,), and the buffer."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return starts, _bytes(data or b"")


@cache
def letters() -> Array:
    r"""1 for each character up to U+3FFFF that is part of a word, as `\w` matches, else 0. There are none beyond."""
    return _bytes(bytes(map(str.isalnum, map(chr, range(0x40000)))))


def _count(
    title_at: Array, title: Array, text_at: Array, text: Array, other_of: Array, other_at: Array, *rest: Array
) -> Counts:
    def counted(first: int, last: int) -> Counts:
        taken = other_of[first:last]
        size = title_at[last] - title_at[first] + text_at[last] - text_at[first]
        size += (other_at[1:] - other_at[:-1])[taken[taken >= 0]].sum()
        most = 2 * (int(size) // 3 + 2 * (last - first))  # a word has at least 3 bytes with its blank, and two terms
        starts, terms = np.zeros(last - first + 1, np.int64), np.empty(most, u4)
        high_at, high = np.empty(most // MOST + 1, np.int64), np.empty(most // MOST + 1, u4)
        highs = _hash_rows(
            first, last, title_at, title, text_at, text, other_of, other_at, *rest, LOWER, starts, terms, high_at, high
        )
        return Counts(starts, terms[: starts[-1]], high_at[:highs], high[:highs])

    parts = in_slices(counted, len(text_at) - 1, ROWS)
    return parts[0] if len(parts) == 1 else Counts.stack(parts)


@compiled
def _beyond_ascii(starts, text):
    """Whether each text has a byte beyond ASCII, shape (n,)."""
    found = np.empty(len(starts) - 1, np.bool_)
    for row in range(len(found)):
        bits = np.uint8(0)
        for byte in text[starts[row] : starts[row + 1]]:
            bits |= byte
        found[row] = bits >= 0x80
    return found


@compiled
def _hash_rows(
    first, last, title_at, title, text_at, text, other_of, other_at, other, letters, lower, starts, terms, high_at, high
):
    """Write the counts of rows first to last into `starts`, `terms`, `high_at`, `high`; returns the size of `high`."""
    longest = 0
    for row in range(first, last):
        longest = max(longest, title_at[row + 1] - title_at[row] + text_at[row + 1] - text_at[row])
        if other_of[row] >= 0:
            longest = max(longest, other_at[other_of[row] + 1] - other_at[other_of[row]])
    words = np.empty(longest + 2, np.uint8)  # the words of a row, a blank after each
    most = longest // 3 + 2
    ends = np.empty(most, np.int64)
    columns, sorted_columns, places = np.empty(2 * most, u4), np.empty(2 * most, u4), np.empty(512, np.int32)
    out, highs = 0, 0
    for row in range(first, last):
        if other_of[row] >= 0:
            start, stop = other_at[other_of[row]], other_at[other_of[row] + 1]
            _, found = _split(other, start, stop, lower, letters, words, 0, ends, 0)
        else:
            size, found = _split(title, title_at[row], title_at[row + 1], lower, letters, words, 0, ends, 0)
            _, found = _split(text, text_at[row], text_at[row + 1], lower, letters, words, size, ends, found)
        hashed = _hash(words, ends, found, columns)
        _sort(columns, sorted_columns, hashed, places)
        at = 0
        while at < hashed:
            column, begin = sorted_columns[at], at
            while at < hashed and sorted_columns[at] == column:
                at += 1
            times = at - begin
            if times > MOST:
                high_at[highs], high[highs] = out, times
                highs, times = highs + 1, 0
            terms[out] = column | u4(u4(times) << u4(BITS))
            out += 1
        starts[row - first + 1] = out
    return highs


@compiled
def _split(text, at, stop, lower, letters, words, size, ends, found):
    """Append the words of text[at:stop] to `words`, and their ends to `ends`; returns the new length of both."""
    begin, characters = size, 0
    while at < stop:
        byte = text[at]
        if lower[byte]:
            words[size] = lower[byte]
            size, characters, at = size + 1, characters + 1, at + 1
            continue
        width = 1
        if byte >= 0x80:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            character = np.int64(byte) & (0xFF >> (width + 1))
            for k in range(1, width):
                character = character << 6 | np.int64(text[at + k]) & 0x3F
            if character < len(letters) and letters[character]:
                for k in range(width):
                    words[size + k] = text[at + k]
                size, characters, at = size + width, characters + 1, at + width
                continue
        if characters > 1:
            ends[found], words[size] = size, 32
            found, size = found + 1, size + 1
        else:
            size = begin
        begin, characters, at = size, 0, at + width
    if characters > 1:
        ends[found], words[size] = size, 32
        return size + 1, found + 1
    return begin, found


@compiled
def _hash(words, ends, found, columns):
    """The columns of all words and pairs. A pair's hash continues from its first word's state after whole blocks."""
    made, start = 0, 0
    state, before, done = u4(0), 0, 0  # of the previous word: its state, its start, and the end of its whole blocks
    for word in range(found):
        end = ends[word]
        if word:
            state, done = _blocks(state, words, done, end)
            columns[made] = _column(state, words, done, end, end - before)
            made += 1
        state, done = _blocks(u4(0), words, start, end)
        columns[made] = _column(state, words, done, end, end - start)
        made, before, start = made + 1, start, end + 1
    return made


@compiled
def _scrambled(block):
    block = u4(block * u4(0xCC9E2D51))
    return u4((block << u4(15) | block >> u4(17)) * u4(0x1B873593))


@compiled
def _blocks(state, words, at, end):
    """Hash whole blocks of 4 bytes; returns the state and the start of the rest."""
    while at + 4 <= end:
        low, high = u4(words[at]) | u4(words[at + 1]) << u4(8), u4(words[at + 2]) | u4(words[at + 3]) << u4(8)
        state = u4(state ^ _scrambled(u4(low | high << u4(16))))
        state = u4(u4(state << u4(13) | state >> u4(19)) * u4(5) + u4(0xE6546B64))
        at += 4
    return state, at


@compiled
def _column(state, words, at, end, length):
    """Hash the last 0 to 3 bytes and finish: the column of a term of `length` bytes."""
    rest, left = u4(0), end - at
    if left > 2:
        rest = u4(words[at + 2]) << u4(16)
    if left > 1:
        rest |= u4(words[at + 1]) << u4(8)
    if left > 0:
        rest |= u4(words[at])
    state = u4(state ^ _scrambled(rest) ^ u4(length))
    state = u4((state ^ state >> u4(16)) * u4(0x85EBCA6B))
    state = u4((state ^ state >> u4(13)) * u4(0xC2B2AE35))
    state = u4(state ^ state >> u4(16))
    return u4(u4(-state) & COLUMN) if state >> u4(31) else u4(state & COLUMN)


@compiled
def _sort(keys, out, size, places):
    """Sort keys[:size] into `out` by 8, 7 and 7 bits, lowest first (radix sort); `keys` is overwritten."""
    places[:] = 0
    for k in range(size):
        key = keys[k]
        places[key & u4(0xFF)] += 1
        places[256 + (key >> u4(8) & u4(0x7F))] += 1
        places[384 + (key >> u4(15))] += 1
    for start, stop in ((0, 256), (256, 384), (384, 512)):
        total = 0
        for digit in range(start, stop):
            total, places[digit] = total + places[digit], total
    for k in range(size):
        digit = keys[k] & u4(0xFF)
        out[places[digit]] = keys[k]
        places[digit] += 1
    for k in range(size):
        digit = 256 + (out[k] >> u4(8) & u4(0x7F))
        keys[places[digit]] = out[k]
        places[digit] += 1
    for k in range(size):
        digit = 384 + (keys[k] >> u4(15))
        out[places[digit]] = keys[k]
        places[digit] += 1
