"""Explains a prediction: what each word and word pair of a review contributes to the score.

A model is linear, so its score is the sum of the contributions, and the explanation is exact, not an estimate. Columns
are hashes, from which no word can be read; but the words of the review are known, and hashing them finds their columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ratchet.features.hashing import count
from ratchet.features.ngram_counts import Counts
from ratchet.model.artifact import Model

WORD = re.compile(r"(?u)\b\w\w+\b")  # HashingVectorizer's own token_pattern
SHARED = " / "

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Explanation:
    """The parts of a review's score: `intercept`, the contributions of `terms`, and `others` sum to `score`.

    `terms` are the n-grams with the largest contributions and those contributions, signed, largest first. N-grams that
    the model does not know contribute nothing. N-grams of the review that share a column are named together: `a / b`.
    """

    score: float
    intercept: float
    terms: list[tuple[str, float]]
    others: float


def explain(model: Model, document: str, counts: Counts, most: int) -> Explanation:
    """The score of one document with its `most` largest contributions; `counts` must be `count([document])`."""
    columns, values = counts.columns, counts.values
    idf, coefficients = model.table[columns].T.astype(np.float64)
    weights = (1.0 + np.log(values)) * idf
    length = float(np.sqrt(weights @ weights)) or 1.0
    contributions = weights * coefficients / length
    largest = np.argsort(-np.abs(contributions), kind="stable")[:most]
    largest = largest[contributions[largest] != 0]
    names = named(document, columns[largest])
    return Explanation(
        score=model.card.intercept + float(contributions.sum()),
        intercept=model.card.intercept,
        terms=[(SHARED.join(names[int(columns[place])]), float(contributions[place])) for place in largest],
        others=float(np.delete(contributions, largest).sum()),
    )


def named(document: str, wanted: Array) -> dict[int, list[str]]:
    """The distinct n-grams of a document by column, for the columns `wanted`: words before pairs, in their order."""
    words = WORD.findall(document.lower())
    singles, pairs = list(dict.fromkeys(words)), list(dict.fromkeys(pairwise(words)))
    joined = [f"{first} {second}" for first, second in pairs]
    totals = _totals(singles)
    column = dict(zip(singles, totals.tolist(), strict=True))
    of_pairs = _totals(joined) - np.array([column[first] + column[second] for first, second in pairs], np.int64)
    ngrams, columns = singles + joined, np.concatenate([totals, of_pairs])
    found: dict[int, list[str]] = {}
    for place in np.flatnonzero(np.isin(columns, wanted)).tolist():
        found.setdefault(int(columns[place]), []).append(ngrams[place])
    return found


def _totals(ngrams: list[str]) -> Array:
    """The sum of the columns of all terms in each n-gram, shape (n,): for a pair, its own and those of its two words.

    The columns come from the kernel that hashed the review, so both agree for any text.
    """
    if not ngrams:
        return np.empty(0, np.int64)
    counts = count(ngrams)
    return np.add.reduceat(counts.columns.astype(np.int64) * counts.values, counts.starts[:-1])
