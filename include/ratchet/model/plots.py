"""Three plots of a binary classifier: confusion matrix, precision and recall, reliability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratchet.model.metrics import BINS, Array

NAMES = ("negative", "positive")


def draw(labels: Array, probabilities: Array, folder: Path) -> None:
    """Write confusion_matrix.png, precision_recall.png, reliability.png for labels and probabilities of shape (n,)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, paint in {
        "confusion_matrix": _confusion,
        "precision_recall": _precision_recall,
        "reliability": _reliability,
    }.items():
        figure = Figure(figsize=(4.2, 4), layout="constrained")
        paint(figure.add_subplot(), labels, probabilities)
        figure.savefig(folder / f"{name}.png", dpi=90)


def _confusion(axes: Axes, labels: Array, probabilities: Array) -> None:
    table = np.bincount(2 * labels.astype(int) + (probabilities >= 0.5), minlength=4).reshape(2, 2)
    axes.imshow(table, cmap="Blues")
    axes.set(
        title="Confusion matrix", xlabel="predicted", ylabel="true", xticks=[0, 1], yticks=[0, 1],
        xticklabels=NAMES, yticklabels=NAMES,
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(table):
        dark = value > table.max() / 2
        axes.text(column, row, f"{value:,}", ha="center", va="center", color="white" if dark else "black")


def _precision_recall(axes: Axes, labels: Array, probabilities: Array) -> None:
    order = np.argsort(-probabilities, kind="stable")
    last = np.append(np.diff(probabilities[order]) != 0, True)  # of the reviews with the same probability
    correct, predicted = np.cumsum(labels[order])[last], np.flatnonzero(last) + 1
    axes.plot(correct / max(correct[-1], 1), correct / predicted)
    axes.set(
        title="Precision and recall of positive", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0.4, 1.01)
    )


def _reliability(axes: Axes, labels: Array, probabilities: Array) -> None:
    where = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    sizes = np.bincount(where, minlength=BINS)
    full = sizes > 0
    predicted = np.bincount(where, weights=probabilities, minlength=BINS)[full] / sizes[full]
    observed = np.bincount(where, weights=labels, minlength=BINS)[full] / sizes[full]
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axes.plot(predicted, observed, marker="o")
    axes.set(title="Reliability", xlabel="predicted probability", ylabel="share of positive", xlim=(0, 1), ylim=(0, 1))
