"""Sublinear TF-IDF of stored counts and a linear score of it, compiled: no weighted copy is ever made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ratchet.compiled import compiled, in_slices
from ratchet.data.counting import BITS, COLUMN, MOST, Counts

ROWS = 2048  # of one slice: about a millisecond
TF = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, MOST + 1))])


def scores(counts: Counts, table: np.ndarray[Any, Any], intercept: float) -> np.ndarray[Any, Any]:
    """Score of every review, shape (n,): its TF-IDF, scaled to length 1, times the coefficients, plus the intercept.

    `table` has shape (2^22, 2): idf and coefficient by column. A column of idf 0 is in neither score nor length.
    """
    found = np.empty(len(counts))
    stored = counts.starts, counts.terms, counts.high_at, counts.high
    in_slices(lambda first, last: _score(first, last, *stored, table, intercept, found), len(counts), ROWS)
    return found


@compiled
def tf(terms, place, high_at, high):
    """1 + ln(count) of a stored term."""
    times = terms[place] >> np.uint32(BITS)
    if times:
        return TF[times]
    return 1.0 + np.log(high[np.searchsorted(high_at, place)])


@compiled
def _score(first, last, starts, terms, high_at, high, table, intercept, found):
    for row in range(first, last):
        score, squares = 0.0, 0.0
        for place in range(starts[row], starts[row + 1]):
            column = terms[place] & COLUMN
            value = tf(terms, place, high_at, high) * table[column, 0]
            squares += value * value
            score += value * table[column, 1]
        found[row] = intercept + (score / np.sqrt(squares) if squares else 0.0)
