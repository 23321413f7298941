"""The input and the result of every solver: the counts of a window's reviews, and a linear model of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ratchet.features.ngram_counts import Counts
from ratchet.training.warm_start import Duals

Array = np.ndarray[Any, Any]

MIN_DOCUMENTS = 2
"""The least number of reviews in which a column must occur. A term of a single review cannot generalise; without those
terms about a sixth of the columns is left, with the same F1."""


@dataclass(frozen=True)
class Problem:
    """The n reviews of a window: first those of the training parts of all batches, then those of the validation parts.

    `counts` has one element per part, `labels` (n,) are 0 or 1, `train_rows` is the number of reviews in the training
    parts. `columns` (m,) ascend: those that occur in at least MIN_DOCUMENTS of the n reviews. `frequencies` (2, 2, m)
    is the number of reviews in which a column occurs, by class: first of the training parts, then of all n.
    """

    counts: Sequence[Counts]
    labels: Array
    train_rows: int
    columns: Array
    frequencies: Array


@dataclass(frozen=True)
class Solution:
    """A linear model fitted on all n reviews, and the validation scores of a second fit on the training parts alone.

    Shapes: `idf`, `coefficients` (m,), `validation_scores` (n - train_rows,). `duals` are those of both fits, where the
    solver has any; `metrics` are figures of the solver for the manifest and MLflow.
    """

    idf: Array
    coefficients: Array
    intercept: float
    validation_scores: Array
    duals: Duals | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def inverse_document_frequency(frequency: Array, rows: int) -> Array:
    """The idf (m,), float32, of columns that occur in `frequency` (m,) of `rows` reviews.

    Smoothed as in scikit-learn's TfidfTransformer: ln((1 + n) / (1 + df)) + 1. It is 0 for a column of fewer than
    MIN_DOCUMENTS reviews, which takes the column out of the features. The logarithm is taken once per distinct number.
    """
    idf = np.log((1 + rows) / (1 + np.arange(frequency.max(initial=0) + 1))) + 1
    idf[:MIN_DOCUMENTS] = 0.0
    by_frequency: Array = idf.astype(np.float32)
    return by_frequency[frequency]
