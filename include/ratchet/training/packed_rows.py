"""A window's reviews laid out for the descent: their counts once, in an order that the processor's cache likes.

Reviews stay counts: x_i = s_i * tf * d, with a scale s_i per review and d_j per column. With u = d * w, a score is
s_i * sum(tf * u), and a step of w along x_i changes u by tf * d^2: so u and d^2 lie side by side, and counts suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ratchet.features.ngram_counts import BITS, COLUMN, DIMENSIONS, Counts
from ratchet.features.tensors import let_go
from ratchet.kernels.jit import prefetch
from ratchet.kernels.runtime import compiled, in_slices
from ratchet.model.scoring import TF, tf

Array = np.ndarray[Any, Any]

TF4 = TF.astype(np.float32)
SHIFT, f4 = np.uint32(BITS), np.float32
LINE = 16  # terms that come into the cache together
AHEAD = 96  # terms between the one whose place is asked for and the one whose place is looked at
ROWS = 2048  # of a slice, where all cores may help


@dataclass(frozen=True)
class PackedRows:
    """The counts of n reviews: their terms name places instead of columns, and those without a place are left out.

    The terms of a review are `terms[starts:stops]`, packed as in `Counts`. Shapes: (n,); (h,) for the high counts.
    """

    starts: Array
    stops: Array
    terms: Array
    high_at: Array
    high: Array

    @property
    def stored(self) -> tuple[Array, ...]:
        return self.starts, self.stops, self.terms, self.high_at, self.high

    def part(self, rows: slice) -> PackedRows:
        return replace(self, starts=self.starts[rows], stops=self.stops[rows])


@dataclass(frozen=True)
class Examples:
    """Some reviews of an arrangement: +1 or -1 by label, and what makes features of their counts.

    Shapes: `sign`, `scale`, `squares` (n,), the last of |x_i|^2; `weights` (m + 1, 2): u and d^2 by place.
    """

    counts: PackedRows
    sign: Array
    scale: Array
    squares: Array
    weights: Array

    @property
    def stored(self) -> tuple[Array, ...]:
        return *self.counts.stored, self.scale, self.weights

    def part(self, rows: slice) -> Examples:
        """Some of the reviews, on the same weights."""
        facts = {name: getattr(self, name)[rows] for name in ("sign", "scale", "squares")}
        return replace(self, counts=self.counts.part(rows), **facts)


def frequent_first(frequency: Array) -> Array:
    """Which column should have each place: those that occur often lie together, and so stay in the cache."""
    return np.argsort(-np.frexp(frequency)[1].astype(np.int8), kind="stable")  # by powers of 2


def pack(parts: Sequence[Counts], columns: Array) -> PackedRows:
    """Lay reviews out, copying their counts once; `columns` (m,) are those in use, in the order of their places."""
    place_of = np.full(DIMENSIONS, len(columns), np.uint32)
    place_of[columns] = np.arange(len(columns), dtype=np.uint32)
    begins = np.cumsum([0, *(len(part.terms) for part in parts)])
    terms = np.empty(begins[-1], np.uint32)
    placed = [
        _placed(part, place_of, len(columns), terms[begin : begin + len(part.terms)])
        for part, begin in zip(parts, begins[:-1], strict=True)
    ]
    starts, stops, high_at = (
        np.concatenate([piece + begin for piece, begin in zip(pieces, begins[:-1], strict=True)])
        for pieces in zip(*placed, strict=True)
    )
    return PackedRows(starts, stops, terms, high_at, np.concatenate([part.high for part in parts]))


def _placed(part: Counts, place_of: Array, unused: int, out: Array) -> tuple[Array, Array, Array]:
    stops, high_at = np.empty(len(part), np.int64), np.empty_like(part.high_at)
    given = part.starts, part.terms, part.high_at, place_of, unused, out, stops, high_at
    in_slices(lambda first, last: _place(first, last, *given), len(part), ROWS)
    let_go(part.terms)  # half of what a training would hold otherwise
    return part.starts[:-1], stops, high_at


def make_examples(arranged: PackedRows, labels: Array, idf: Array, ratio: Array | None = None) -> Examples:
    """Make features of counts by `idf` and `ratio`, by place (m,): TF-IDF of length 1, times the ratio if there is one.

    A column of idf 0 is in neither length nor features.
    """
    weights = np.zeros((len(idf) + 1, 2), np.float32)
    weights[:-1, 0] = np.square(idf)  # for the length, then it is u's place
    weights[:-1, 1] = weights[:-1, 0] if ratio is None else weights[:-1, 0] * np.square(ratio)
    sums = np.empty((2, len(labels)))
    in_slices(lambda first, last: _square(first, last, *arranged.stored, weights, sums), len(labels), ROWS)
    lengths, squares = sums
    scale = np.divide(1.0, np.sqrt(lengths), out=np.zeros_like(lengths), where=lengths > 0)
    weights[:, 0] = 0.0
    return Examples(arranged, np.where(labels > 0, 1.0, -1.0), scale, squares * scale**2, weights)


def scores(given: Examples, intercept: float) -> Array:
    """The score of every review, shape (n,), by the u that lies in the weights."""
    found = np.empty(len(given.sign))
    in_slices(lambda first, last: _score_rows(first, last, *given.stored, intercept, found), len(found), ROWS)
    return found


@compiled
def _place(first, last, starts, terms, high_at, place_of, unused, out, stops, out_high_at):
    """Columns become places, counts stay. Terms without a place are left out, but for high counts, which are few."""
    h = np.searchsorted(high_at, starts[first])
    for row in range(first, last):
        at = starts[row]
        for k in range(starts[row], starts[row + 1]):
            if k + AHEAD < len(terms):
                prefetch(place_of, np.int64(terms[k + AHEAD] & COLUMN))
            place, count = place_of[terms[k] & COLUMN], terms[k] & ~COLUMN
            if count == 0:
                out_high_at[h] = at
                h += 1
            elif place == unused:
                continue
            out[at] = place | count
            at += 1
        stops[row] = at


@compiled
def _square(first, last, starts, stops, terms, high_at, high, weights, sums):
    """Sums over tf^2 times either weight, for every review."""
    for row in range(first, last):
        fetch_next(row, last, starts, stops, terms, weights)
        first_sum, second_sum = 0.0, 0.0
        for place in range(starts[row], stops[row]):
            square = tf(terms, place, high_at, high) ** 2
            first_sum += square * weights[terms[place] & COLUMN, 0]
            second_sum += square * weights[terms[place] & COLUMN, 1]
        sums[0, row], sums[1, row] = first_sum, second_sum


@compiled
def _score_rows(first, last, starts, stops, terms, high_at, high, scale, weights, intercept, found):
    for row in range(first, last):
        fetch_next(row, last, starts, stops, terms, weights)
        found[row] = score_of(row, starts, stops, terms, high_at, high, scale, weights) + intercept


@compiled
def score_of(row, starts, stops, terms, high_at, high, scale, weights):
    """A review's score but for the intercept. Four sums side by side, because an addition waits for the one before."""
    a, b, c, d = f4(0), f4(0), f4(0), f4(0)
    place, stop = starts[row], stops[row]
    while place + 3 < stop:
        one, two, three, four = terms[place], terms[place + 1], terms[place + 2], terms[place + 3]
        a += TF4[one >> SHIFT] * weights[one & COLUMN, 0]
        b += TF4[two >> SHIFT] * weights[two & COLUMN, 0]
        c += TF4[three >> SHIFT] * weights[three & COLUMN, 0]
        d += TF4[four >> SHIFT] * weights[four & COLUMN, 0]
        place += 4
    while place < stop:
        a += TF4[terms[place] >> SHIFT] * weights[terms[place] & COLUMN, 0]
        place += 1
    for k in _high(starts[row], stop, high_at):
        b += f4(1.0 + np.log(high[k])) * weights[terms[high_at[k]] & COLUMN, 0]
    return scale[row] * np.float64((a + b) + (c + d))


@compiled
def step_along(step, row, starts, stops, terms, high_at, high, scale, weights):
    """u changes by a step of w along a review."""
    short = f4(step * scale[row])
    for place in range(starts[row], stops[row]):
        term = terms[place]
        weights[term & COLUMN, 0] += short * TF4[term >> SHIFT] * weights[term & COLUMN, 1]
    for k in _high(starts[row], stops[row], high_at):
        column = terms[high_at[k]] & COLUMN
        weights[column, 0] += short * f4(1.0 + np.log(high[k])) * weights[column, 1]


@compiled
def _high(start, stop, high_at):
    """Which of the high counts, for which TF4 holds 0, lie between."""
    if len(high_at) == 0:
        return range(0, 0)
    return range(np.searchsorted(high_at, start), np.searchsorted(high_at, stop))


@compiled
def fetch(k, rows, starts, stops, terms, weights):
    """Have what the next visits need come nearer during this one: terms of the one after next, weights of the next."""
    if k + 2 < len(rows):
        for place in range(starts[rows[k + 2]], stops[rows[k + 2]], LINE):
            prefetch(terms, place)
    if k + 1 < len(rows):
        fetch_next(rows[k + 1] - 1, len(starts), starts, stops, terms, weights)


@compiled
def fetch_next(row, last, starts, stops, terms, weights):
    """The same where reviews are visited as they lie, up to the last."""
    if row + 1 < last:
        for place in range(starts[row + 1], stops[row + 1]):
            prefetch(weights, np.int64(terms[place] & COLUMN) * 2)
