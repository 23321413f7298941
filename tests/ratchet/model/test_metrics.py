"""The metrics of a run are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from ratchet.model.metrics import metrics
from ratchet.training.fit import sigmoid

CASES = {
    "usual": (np.random.default_rng(0).integers(0, 2, 500), np.random.default_rng(1).random(500)),
    "ties": (np.random.default_rng(0).integers(0, 2, 500), np.random.default_rng(1).integers(0, 4, 500) / 3),
    "one predicted class": (np.array([0, 1, 1]), np.array([0.9, 0.8, 0.7])),
    "all correct": (np.array([0, 1, 1]), np.array([0.0, 1.0, 0.7])),
    "one class": (np.array([1, 1, 1]), np.array([0.2, 0.8, 0.7])),
    "one class, all correct": (np.array([1, 1]), np.array([0.6, 1.0])),
}


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_scikit_learns(name: str) -> None:
    """Also for ties, single classes and probabilities of 0 and 1; a metric that is not defined is left out."""
    labels, probabilities = CASES[name]
    predicted = probabilities >= 0.5
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "precision": precision_score(labels, predicted, zero_division=0.0),
        "recall": recall_score(labels, predicted, zero_division=0.0),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "log_loss": log_loss(labels, probabilities, labels=[0, 1]),
    }
    if len(set(labels.tolist())) == 2:
        expected["roc_auc"] = roc_auc_score(labels, probabilities)
    found = metrics(labels.astype(np.int8), probabilities)
    assert found.pop("ece") >= 0
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.0, 0.1, 5.0])
def test_the_sigmoid_is_scikit_learns(noise: float) -> None:
    """Probabilities equal those of its LogisticRegression(C=1e6), also for labels that the scores separate."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=1000)
    labels = (scores + noise * rng.normal(size=1000) > 0.3).astype(np.int8)
    slope, offset = sigmoid(scores, labels)
    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(scores.reshape(-1, 1), labels)
    expected = theirs.predict_proba(scores.reshape(-1, 1))[:, 1]
    np.testing.assert_allclose(expit(slope * scores + offset), expected, atol=2e-4)
