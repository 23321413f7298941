"""How good predictions are: the figures that every run logs."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

BINS = 15


def metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The figures for labels in {0, 1} and probabilities of label 1, both of shape (n,)."""
    predicted = (probabilities >= 0.5).astype(np.int8)
    both = len(np.unique(labels)) == 2
    figures = {
        "accuracy": accuracy_score(labels, predicted),
        "precision": precision_score(labels, predicted, zero_division=0.0),
        "recall": recall_score(labels, predicted, zero_division=0.0),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "roc_auc": roc_auc_score(labels, probabilities) if both else float("nan"),
        "log_loss": log_loss(labels, probabilities, labels=[0, 1]),
        "ece": calibration_error(labels, probabilities),
    }
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error with 15 equal-width bins of the probability of label 1 (Naeini et al., AAAI 2015)."""
    where = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    sizes = np.bincount(where, minlength=BINS)
    gaps = np.abs(
        np.bincount(where, weights=labels, minlength=BINS) - np.bincount(where, weights=probabilities, minlength=BINS)
    )
    return float(gaps[sizes > 0].sum() / len(labels))
