"""The metrics that every training run logs, defined as in scikit-learn, which jobs do without."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BINS = 15  # of the probability, for the calibration error
EPSILON = np.finfo(np.float64).eps  # the log loss clips probabilities to [EPSILON, 1 - EPSILON]


def metrics(labels: Array, probabilities: Array) -> dict[str, float]:
    """The metrics of labels in {0, 1} and probabilities of label 1, both of shape (n,).

    A metric that is not defined for them is left out: ROC AUC where only one class occurs.
    """
    table = np.bincount(2 * labels.astype(int) + (probabilities >= 0.5), minlength=4)
    tn, fp, fn, tp = (float(cell) for cell in table)
    clipped = np.clip(probabilities, EPSILON, 1 - EPSILON)
    figures = {
        "accuracy": (tn + tp) / len(labels),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "macro_f1": _macro_f1(tn, fp, fn, tp),
        "roc_auc": _roc_auc(labels, probabilities),
        "log_loss": -float(np.log(np.where(labels > 0, clipped, 1 - clipped)).mean()),
        "ece": calibration_error(labels, probabilities),
    }
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def _macro_f1(tn: float, fp: float, fn: float, tp: float) -> float:
    """The mean F1 over the classes that occur among labels or predictions."""
    found = [2 * right / (2 * right + fp + fn) for right in (tn, tp) if right + fp + fn]
    return sum(found) / len(found)


def _roc_auc(labels: Array, probabilities: Array) -> float:
    """The share of pairs of both classes in which the positive one has the higher probability; a tie counts half.

    From the ranks of the probabilities, as the Mann-Whitney U statistic; NaN where one class is missing.
    """
    positive = labels > 0
    pairs = positive.sum() * (~positive).sum()
    _, place, ties = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]  # from 1; a tie has its mean rank
    above = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(above / pairs) if pairs else float("nan")


def calibration_error(labels: Array, probabilities: Array) -> float:
    """Expected calibration error with 15 equal-width bins of the probability of label 1 (Naeini et al., AAAI 2015)."""
    where = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    sizes = np.bincount(where, minlength=BINS)
    gaps = np.abs(
        np.bincount(where, weights=labels, minlength=BINS) - np.bincount(where, weights=probabilities, minlength=BINS)
    )
    return float(gaps[sizes > 0].sum() / len(labels))


def macro_f1(tables: np.ndarray, *, champion: bool) -> np.ndarray:
    """Macro-F1 of champion or challenger from tables of counts; a label that never occurs counts as 0.

    `tables` has the shape (..., 2, 2, 2), by [label][champion's prediction][challenger's prediction]; the result (...).
    """
    confusion = tables.sum(axis=-1 if champion else -2)
    right = np.stack([confusion[..., 0, 0], confusion[..., 1, 1]], axis=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    scores: np.ndarray = np.divide(2.0 * right, total, out=np.zeros(right.shape), where=total > 0).mean(axis=-1)
    return scores
