"""Counts of hashed terms and their frequencies in a batch, 4 bytes a term, in memory as in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.kernels.runtime import compiled, in_slices

if TYPE_CHECKING:
    import scipy.sparse as sp

BITS = 22
DIMENSIONS = 1 << BITS
MOST = (1 << (32 - BITS)) - 1  # the highest count that fits beside a column

u4 = np.uint32
COLUMN = u4(DIMENSIONS - 1)
FEW = u4(31)  # the highest frequency that fits into the 5 bits of a class in `Frequencies.rare`
BLOCK = 1 << 16  # columns whose frequencies fit into a core's cache: 512 KiB

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Counts:
    """Counts of n reviews, 4 bytes a term, with the layout of the file.

    `starts` (n + 1,) int64 is where each review's terms begin in `terms` (t,) uint32, which ascend by column within a
    review: the low 22 bits are the column, the others the count. For one above 1,023 they are 0, and the count is in
    `high` (h,) uint32, for the place in `terms` that `high_at` (h,) int64 has at the same index.
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
        """The matrix that scikit-learn's vectorizer returns: shape (n, 2^22), float32."""
        import scipy.sparse as sp

        return sp.csr_matrix(
            (self.values.astype(np.float32), self.columns.astype(np.int32), self.starts), (len(self), DIMENSIONS)
        )

    def __getitem__(self, rows: Any) -> Counts:
        """The counts of some reviews, by a slice, a mask of shape (n,), or row numbers."""
        rows = np.arange(len(self))[rows]
        lengths = (self.starts[1:] - self.starts[:-1])[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        high_at = np.flatnonzero(self.terms[places] >> BITS == 0)
        high = self.high[np.searchsorted(self.high_at, places[high_at])]
        return Counts(starts, self.terms[places], high_at, high)

    @classmethod
    def stack(cls, parts: Sequence[Counts], terms: Array | None = None) -> Counts:
        """The reviews of all parts, in their order. `terms`, if given, is the array of all terms, already filled."""
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
    """The number of negative and positive reviews of a batch in which each column occurs; 4 bytes for a rare column.

    `rare` (r,) uint32: the column in the low 22 bits, then 5 bits for each class. `often` (o,) uint32 are the columns
    with more than 31 reviews of a class, with their numbers in `reviews` (o, 2) uint32.
    """

    rare: Array
    often: Array
    reviews: Array

    @classmethod
    def of(cls, counts: Counts, labels: Array) -> Frequencies:
        """Count the reviews of each label, shape (n,), by blocks of columns, each of which fits into a core's cache."""
        return cls(*_packed(*_by_block(counts.starts, counts.terms, labels.astype(np.int64))))


@compiled
def _by_block(starts, terms, labels):
    """The start of each block, and the terms by block: the column within the block in the low bits, the label above."""
    begins = np.zeros(DIMENSIONS // BLOCK + 1, np.int64)
    for term in terms:
        begins[(term & COLUMN) // u4(BLOCK) + 1] += 1
    for block in range(1, len(begins)):
        begins[block] += begins[block - 1]
    places, labelled = begins[:-1].copy(), np.empty(len(terms), np.uint32)
    for row in range(len(labels)):
        label = u4(labels[row]) << u4(BITS)
        for place in range(starts[row], starts[row + 1]):
            block = (terms[place] & COLUMN) // u4(BLOCK)
            labelled[places[block]] = terms[place] & u4(BLOCK - 1) | label
            places[block] += 1
    return begins, labelled


@compiled
def _packed(begins, labelled):
    """The three arrays of Frequencies, block by block."""
    reviews, few, many = np.zeros((BLOCK, 2), np.uint32), 0, 0
    rare, often = np.empty(len(labelled), np.uint32), np.empty(len(labelled) // FEW + 1, np.uint32)
    numbers = np.empty((len(often), 2), np.uint32)
    for block in range(len(begins) - 1):
        for k in range(begins[block], begins[block + 1]):
            reviews[labelled[k] & u4(BLOCK - 1), labelled[k] >> u4(BITS)] += u4(1)
        for low in range(BLOCK):
            negative, positive = reviews[low, 0], reviews[low, 1]
            if negative | positive:
                column = u4(block * BLOCK + low)
                if negative <= FEW and positive <= FEW:
                    rare[few] = column | negative << u4(BITS) | positive << u4(BITS + 5)
                    few += 1
                else:
                    often[many], numbers[many, 0], numbers[many, 1] = column, negative, positive
                    many += 1
                reviews[low, 0] = reviews[low, 1] = u4(0)
    return rare[:few].copy(), often[:many].copy(), numbers[:many].copy()


def add_up(groups: Sequence[Sequence[Frequencies]], least: int) -> tuple[Array, Array]:
    """The columns (c,) that occur in at least `least` reviews of all groups, and the numbers of reviews (groups, 2, c).

    The second axis is the class. The numbers of a group include those of the groups before it.
    """
    joined = [_joined(parts) for parts in groups]

    def added(first: int, last: int) -> tuple[Array, Array]:
        reviews = np.zeros((len(groups), 2, last - first), np.uint32)
        for group, parts in enumerate(joined):
            reviews[group] = reviews[group - 1]
            _add(*parts, first, reviews[group])
        columns = _frequent(reviews[-1], least)
        return u4(first) + columns, reviews[:, :, columns]

    columns, sums = zip(*in_slices(added, DIMENSIONS, DIMENSIONS // 16), strict=True)
    return np.concatenate(columns), np.concatenate(sums, axis=2)


def _joined(parts: Sequence[Frequencies]) -> tuple[Array, ...]:
    """The arrays of all parts, concatenated, and the start of each part."""
    rare_at = np.cumsum([0, *(len(part.rare) for part in parts)])
    often_at = np.cumsum([0, *(len(part.often) for part in parts)])
    arrays = ([np.empty(0, u4), *(getattr(part, name) for part in parts)] for name in ("rare", "often"))
    numbers = np.concatenate([np.empty((0, 2), u4), *(part.reviews for part in parts)])
    return rare_at, often_at, *map(np.concatenate, arrays), numbers


@compiled
def _add(rare_at, often_at, rare, often, numbers, first, reviews):
    """Add, for every part, the frequencies of the columns from `first` on, as many as `reviews` (2, c) has."""
    last = first + reviews.shape[1]
    for part in range(len(rare_at) - 1):
        k = _bisected(rare, rare_at[part], rare_at[part + 1], first)
        while k < rare_at[part + 1] and np.int64(rare[k] & COLUMN) < last:
            column = np.int64(rare[k] & COLUMN) - first
            reviews[0, column] += rare[k] >> u4(BITS) & FEW
            reviews[1, column] += rare[k] >> u4(BITS + 5)
            k += 1
        k = _bisected(often, often_at[part], often_at[part + 1], first)
        while k < often_at[part + 1] and np.int64(often[k]) < last:
            reviews[0, np.int64(often[k]) - first] += numbers[k, 0]
            reviews[1, np.int64(often[k]) - first] += numbers[k, 1]
            k += 1


@compiled
def _bisected(columns, low, high, first):
    """The first place between low and high whose column is at least `first`; columns ascend (binary search)."""
    while low < high:
        middle = (low + high) // 2
        if np.int64(columns[middle] & COLUMN) < first:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _frequent(reviews, least):
    """The columns, shape (c,), with at least `least` reviews."""
    found, many = np.empty(reviews.shape[1], np.uint32), 0
    for column in range(reviews.shape[1]):
        if reviews[0, column] + reviews[1, column] >= least:
            found[many] = column
            many += 1
    return found[:many].copy()
