"""The counts of a window's reviews, packed for dual coordinate descent: stored once, frequent columns close together.

No features are stored. A review is x_i = s_i * tf * d, with a scale s_i per review and d_j per column. With u = d * w,
its score is s_i * sum(tf * u), and a step of w along x_i changes u by a multiple of tf * d^2. So the kernels need the
counts, and u and d^2 side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ratchet.features.ngram_counts import BITS, COLUMN, DIMENSIONS, Counts
from ratchet.features.tensors import release
from ratchet.kernels.prefetch import prefetch
from ratchet.kernels.runtime import compiled, in_slices
from ratchet.model.scoring import TF, tf

Array = np.ndarray[Any, Any]

TF4 = TF.astype(np.float32)
SHIFT, f4 = np.uint32(BITS), np.float32
LINE = 16  # terms in a cache line of 64 bytes
AHEAD = 96  # terms between the one whose place is prefetched and the one whose place is read
ROWS = 2048  # reviews in a slice, where slices run on all cores


@dataclass(frozen=True)
class PackedRows:
    """The counts of n reviews, with places (see `frequent_first`) instead of columns.

    The terms of review i are `terms[starts[i]:stops[i]]`, packed as in `Counts`; those without a place are left out.
    Shapes: `starts`, `stops` (n,); `terms` (t,); `high_at`, `high` (h,), the counts that do not fit into a term.
    """

    starts: Array
    stops: Array
    terms: Array
    high_at: Array
    high: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays in the order in which the kernels take them."""
        return self.starts, self.stops, self.terms, self.high_at, self.high

    def part(self, rows: slice) -> PackedRows:
        """Some of the reviews, on the same terms."""
        return replace(self, starts=self.starts[rows], stops=self.stops[rows])


@dataclass(frozen=True)
class Examples:
    """Packed reviews with what turns their counts into features and labels.

    Shapes: `sign` (n,), +1 or -1 by label; `scale` (n,), s_i; `squares` (n,), |x_i|^2; `weights` (m + 1, 2), u and d^2
    by place, where the last row is zero.
    """

    counts: PackedRows
    sign: Array
    scale: Array
    squares: Array
    weights: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays in the order in which the kernels take them."""
        return *self.counts.arrays, self.scale, self.weights

    def part(self, rows: slice) -> Examples:
        """Some of the reviews, on the same weights."""
        by_row = {name: getattr(self, name)[rows] for name in ("sign", "scale", "squares")}
        return replace(self, counts=self.counts.part(rows), **by_row)


def frequent_first(frequency: Array) -> Array:
    """The column (m,) of each place, by descending `frequency` (m,), so that frequent columns share cache lines."""
    return np.argsort(-np.frexp(frequency)[1].astype(np.int8), kind="stable")  # in steps of powers of 2


def pack(parts: Sequence[Counts], columns: Array) -> PackedRows:
    """Pack reviews, copying their counts once; `columns` (m,) are those in use, in the order of their places."""
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
    arrays = part.starts, part.terms, part.high_at, place_of, unused, out, stops, high_at
    in_slices(lambda first, last: _place(first, last, *arrays), len(part), ROWS)
    release(part.terms)  # otherwise training needs twice the memory
    return part.starts[:-1], stops, high_at


def make_examples(packed: PackedRows, labels: Array, idf: Array, ratio: Array | None = None) -> Examples:
    """Weight packed reviews: TF-IDF in rows of length 1, times the ratio if there is one.

    `labels` (n,) are 0 or 1; `idf` and `ratio` (m,) are by place. A column of idf 0 is in neither length nor features.
    """
    weights = np.zeros((len(idf) + 1, 2), np.float32)
    weights[:-1, 0] = np.square(idf)  # for the length; u replaces it below
    weights[:-1, 1] = weights[:-1, 0] if ratio is None else weights[:-1, 0] * np.square(ratio)
    sums = np.empty((2, len(labels)))
    in_slices(lambda first, last: _square(first, last, *packed.arrays, weights, sums), len(labels), ROWS)
    lengths, squares = sums
    scale = np.divide(1.0, np.sqrt(lengths), out=np.zeros_like(lengths), where=lengths > 0)
    weights[:, 0] = 0.0
    return Examples(packed, np.where(labels > 0, 1.0, -1.0), scale, squares * scale**2, weights)


def scores(examples: Examples, intercept: float) -> Array:
    """The score of every review, shape (n,), with the u that is in the weights."""
    found = np.empty(len(examples.sign))
    in_slices(lambda first, last: _score_rows(first, last, *examples.arrays, intercept, found), len(found), ROWS)
    return found


@compiled
def _place(first, last, starts, terms, high_at, place_of, unused, out, stops, out_high_at):
    """Replace columns by places and keep the counts. Terms without a place are left out, except the few high counts."""
    h = np.searchsorted(high_at, starts[first])
    for row in range(first, last):
        at = starts[row]
        for k in range(starts[row], starts[row + 1]):
            if k + AHEAD < len(terms):
                prefetch(place_of, np.int64(terms[k + AHEAD] & COLUMN))  # type: ignore[call-arg]  # numba adds the first one
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
    """Write the sums over tf^2 times each of both weights, for every review."""
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
    """The score of a review without the intercept. Four sums, because an addition waits for the one before."""
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
    """Change u by a step of w along a review."""
    short = f4(step * scale[row])
    for place in range(starts[row], stops[row]):
        term = terms[place]
        weights[term & COLUMN, 0] += short * TF4[term >> SHIFT] * weights[term & COLUMN, 1]
    for k in _high(starts[row], stops[row], high_at):
        column = terms[high_at[k]] & COLUMN
        weights[column, 0] += short * f4(1.0 + np.log(high[k])) * weights[column, 1]


@compiled
def _high(start, stop, high_at):
    """The indices of the high counts between two places in `terms`; TF4 is 0 for them."""
    if len(high_at) == 0:
        return range(0)
    return range(np.searchsorted(high_at, start), np.searchsorted(high_at, stop))


@compiled
def fetch(k, rows, starts, stops, terms, weights):
    """Prefetch for the next visits during this one: the terms of the one after next, the weights of the next."""
    if k + 2 < len(rows):
        for place in range(starts[rows[k + 2]], stops[rows[k + 2]], LINE):
            prefetch(terms, place)  # type: ignore[call-arg]  # numba adds the first one
    if k + 1 < len(rows):
        fetch_next(rows[k + 1] - 1, len(starts), starts, stops, terms, weights)


@compiled
def fetch_next(row, last, starts, stops, terms, weights):
    """Prefetch the weights of the next review, where reviews are visited in order up to `last`."""
    if row + 1 < last:
        for place in range(starts[row + 1], stops[row + 1]):
            prefetch(weights, np.int64(terms[place] & COLUMN) * 2)  # type: ignore[call-arg]  # numba adds the first one
