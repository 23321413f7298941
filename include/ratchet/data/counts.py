"""Counts of hashed terms and their frequencies in a batch, as they lie on disk: 4 bytes a term, mapped into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.compiled import compiled

if TYPE_CHECKING:
    import scipy.sparse as sp

BITS = 22
DIMENSIONS = 1 << BITS
MOST = (1 << (32 - BITS)) - 1  # the highest count that fits beside a column

u4 = np.uint32
COLUMN = u4(DIMENSIONS - 1)
FEW = u4(31)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Counts:
    """Counts of n reviews, 4 bytes a term, as they lie on disk.

    `starts` (n + 1,) int64 says where each review's terms begin in `terms` (t,) uint32, which ascend by column within a
    review: the low 22 bits are the column, the others the count. Where the count is too high for them they are 0, and
    it is found in `high` (h,) uint32, for the place in `terms` that `high_at` (h,) int64 names.
    """

    starts: Array
    terms: Array
    high_at: Array
    high: Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def columns(self) -> Array:
        """The column of every term, shape (t,)."""
        return self.terms & COLUMN

    @property
    def values(self) -> Array:
        """The count of every term, shape (t,)."""
        values = self.terms >> BITS
        values[self.high_at] = self.high
        return values

    def csr(self) -> sp.csr_matrix:
        """The same as scikit-learn gives it: shape (n, 2^22), float32."""
        import scipy.sparse as sp

        return sp.csr_matrix(
            (self.values.astype(np.float32), self.columns.astype(np.int32), self.starts), (len(self), DIMENSIONS)
        )

    def __getitem__(self, rows: Any) -> Counts:
        """Some reviews: a slice, a mask of shape (n,), or row numbers."""
        rows = np.arange(len(self))[rows]
        lengths = (self.starts[1:] - self.starts[:-1])[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        high_at = np.flatnonzero(self.terms[places] >> BITS == 0)
        high = self.high[np.searchsorted(self.high_at, places[high_at])]
        return Counts(starts, self.terms[places], high_at, high)

    @classmethod
    def stack(cls, parts: Sequence[Counts], terms: Array | None = None) -> Counts:
        """All parts under one another, in their order; with other `terms`, if they were laid out elsewhere."""
        before = np.cumsum([0, *(len(part.terms) for part in parts)])[:-1].tolist()
        shifted = list(zip(parts, before, strict=True))
        return cls(
            np.concatenate([[0], *(part.starts[1:] + shift for part, shift in shifted)]),
            np.concatenate([np.empty(0, u4), *(part.terms for part in parts)]) if terms is None else terms,
            np.concatenate([np.empty(0, np.int64), *(part.high_at + shift for part, shift in shifted)]),
            np.concatenate([np.empty(0, u4), *(part.high for part in parts)]),
        )


@dataclass(frozen=True)
class Frequencies:
    """In how many negative and positive reviews of a batch each column occurs; 4 bytes for a column that is rare.

    `rare` (r,) uint32: the column in the low 22 bits, then 5 bits for either class. `often` (o,) uint32 are the columns
    for which that is too little, with their numbers in `reviews` (o, 2) uint32.
    """

    rare: Array
    often: Array
    reviews: Array

    @classmethod
    def of(cls, counts: Counts, labels: Array) -> Frequencies:
        reviews = np.zeros((DIMENSIONS, 2), np.uint32)
        _tally(counts.starts, counts.terms, labels.astype(np.int64), reviews)
        return cls(*_packed(*_from(reviews, 1)))


@compiled
def _tally(starts, terms, labels, reviews):
    for row in range(len(labels)):
        for place in range(starts[row], starts[row + 1]):
            reviews[terms[place] & COLUMN, labels[row]] += u4(1)


def add_up(parts: Sequence[Frequencies], least: int) -> tuple[Array, Array]:
    """The columns (c,) that occur in at least `least` reviews of all batches, and in how many by class (c, 2)."""
    reviews = np.zeros((DIMENSIONS, 2), np.uint32)
    for part in parts:
        _add(part.rare, part.often, part.reviews, reviews)
    return _from(reviews, least)


@compiled
def _add(rare, often, numbers, reviews):
    for each in rare:
        reviews[each & COLUMN, 0] += each >> u4(BITS) & FEW
        reviews[each & COLUMN, 1] += each >> u4(BITS + 5)
    for k in range(len(often)):
        reviews[often[k], 0] += numbers[k, 0]
        reviews[often[k], 1] += numbers[k, 1]


@compiled
def _packed(columns, reviews):
    rare = (reviews[:, 0] <= FEW) & (reviews[:, 1] <= FEW)
    packed, often, numbers = np.empty(rare.sum(), u4), np.empty((~rare).sum(), u4), np.empty(((~rare).sum(), 2), u4)
    r, o = 0, 0
    for k in range(len(columns)):
        if rare[k]:
            packed[r] = columns[k] | reviews[k, 0] << u4(BITS) | reviews[k, 1] << u4(BITS + 5)
            r += 1
        else:
            often[o], numbers[o, 0], numbers[o, 1] = columns[k], reviews[k, 0], reviews[k, 1]
            o += 1
    return packed, often, numbers


@compiled
def _from(reviews, least):
    many = 0
    for column in range(len(reviews)):
        many += reviews[column, 0] + reviews[column, 1] >= least
    columns, numbers = np.empty(many, np.uint32), np.empty((many, 2), np.uint32)
    k = 0
    for column in range(len(reviews)):
        if reviews[column, 0] + reviews[column, 1] >= least:
            columns[k], numbers[k, 0], numbers[k, 1] = column, reviews[column, 0], reviews[column, 1]
            k += 1
    return columns, numbers
