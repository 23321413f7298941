"""The linear score of a review's sublinear TF-IDF, computed from stored counts without a weighted copy of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ratchet.features.ngram_counts import BITS, COLUMN, DIMENSIONS, MOST, Counts
from ratchet.kernels.runtime import compiled, in_slices

ROWS = 2048  # reviews of one slice: about a millisecond
TF = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, MOST + 1))])


def scores(counts: Counts, weights: np.ndarray[Any, Any], intercept: float) -> np.ndarray[Any, Any]:
    """Score of every review, shape (n,): its TF-IDF, scaled to length 1, times the coefficients, plus the intercept.

    `weights` has shape (2^22, 2): idf and coefficient by column. A column of idf 0 counts in neither score nor length.
    The weighting is that of scikit-learn's `TfidfTransformer(sublinear_tf=True)`.
    """
    found = np.empty(len(counts))
    stored = counts.starts, counts.terms, counts.high_at, counts.high
    in_slices(lambda first, last: _score(first, last, *stored, weights, intercept, found), len(counts), ROWS)
    return found


def table(columns: np.ndarray[Any, Any], *values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A row for every column of the features, shape (2^22, v), float32.

    `columns` (c,) are those with values, `values` v arrays of shape (c,); other rows are 0.
    """
    found = np.zeros((DIMENSIONS, len(values)), np.float32)
    _spread(columns, np.stack(values, axis=1), found)
    return found


@compiled
def _spread(columns, values, found):
    for k in range(len(columns)):
        for each in range(values.shape[1]):
            found[columns[k], each] = values[k, each]


@compiled
def tf(terms, place, high_at, high):
    """1 + ln(count) of a stored term."""
    times = terms[place] >> np.uint32(BITS)
    if times:
        return TF[times]
    return 1.0 + np.log(high[np.searchsorted(high_at, place)])


@compiled
def _score(first, last, starts, terms, high_at, high, weights, intercept, found):
    for row in range(first, last):
        score, squares = 0.0, 0.0
        for place in range(starts[row], starts[row + 1]):
            column = terms[place] & COLUMN
            value = tf(terms, place, high_at, high) * weights[column, 0]
            squares += value * value
            score += value * weights[column, 1]
        found[row] = intercept + (score / np.sqrt(squares) if squares else 0.0)
