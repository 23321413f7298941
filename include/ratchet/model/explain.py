"""Why a model answered as it did: the words and word pairs of a review, and how much each weighed.

A model is linear, so its score is the sum of what each n-gram contributes, and this is exact, not an estimate. Columns
are hashed and say no words; but the words of the review at hand are known, and hashing them again finds their columns.
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
    """The score of a review in its parts: `intercept`, the contributions of `terms`, and `others` sum to `score`.

    `terms` are the weightiest n-grams with their signed contributions, weightiest first; what the model does not know
    contributes nothing. N-grams of the review that share a column are one to the model, so they are here: `a / b`.
    """

    score: float
    intercept: float
    terms: list[tuple[str, float]]
    others: float


def explain(model: Model, document: str, counts: Counts, most: int) -> Explanation:
    """The `most` weightiest parts of the score of one document, of which `counts` must be `count([document])`."""
    columns, values = counts.columns, counts.values
    idf, coefficients = model.table[columns].T.astype(np.float64)
    weights = (1.0 + np.log(values)) * idf
    length = float(np.sqrt(weights @ weights)) or 1.0
    contributions = weights * coefficients / length
    heaviest = np.argsort(-np.abs(contributions), kind="stable")[:most]
    heaviest = heaviest[contributions[heaviest] != 0]
    names = named(document, columns[heaviest])
    return Explanation(
        score=model.card.intercept + float(contributions.sum()),
        intercept=model.card.intercept,
        terms=[(SHARED.join(names[int(columns[place])]), float(contributions[place])) for place in heaviest],
        others=float(np.delete(contributions, heaviest).sum()),
    )


def named(document: str, wanted: Array) -> dict[int, list[str]]:
    """The distinct n-grams of a document in some columns: words before pairs, each in the order of its first place."""
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
    """The sum of the columns in each n-gram, shape (n,): of a word its own; of a pair that of both words and its own.

    So columns are found by the very kernel that hashed the review.
    """
    if not ngrams:
        return np.empty(0, np.int64)
    counts = count(ngrams)
    return np.add.reduceat(counts.columns.astype(np.int64) * counts.values, counts.starts[:-1])
