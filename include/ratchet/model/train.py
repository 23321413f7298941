"""Fit one candidate on a window: weights from its training parts, calibration from its validation parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog
from safetensors.numpy import save_file

from ratchet import keys, manifests
from ratchet.batches import features_of, present
from ratchet.candidates import CANDIDATES, GAP, Candidate
from ratchet.data import counts, features
from ratchet.data.features import Features
from ratchet.jobs import Work
from ratchet.manifests import Manifest
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model, logistic
from ratchet.model.descent import Optimum, examples, optimum
from ratchet.model.metrics import metrics
from ratchet.storage import verified
from ratchet.tensors import mapped
from ratchet.windows import Window

log = structlog.get_logger()

Array = np.ndarray[Any, Any]

MIN_DOCUMENTS = 2
"""A term of a single review cannot generalise; dropping those leaves about a sixth of the columns and the same F1."""

SMOOTHING = 1.0  # reviews of each class in which a column is taken to occur beside those seen

DUALS = "duals.safetensors"


def fit(
    candidate: Candidate,
    training: list[Features],
    validation: Features,
    window: str,
    duals: list[Array | None] | None = None,
) -> tuple[Model, Optimum]:
    """Fit a candidate on the training parts and calibrate it on the validation part. Deterministic.

    idf is smoothed as in scikit-learn: ln((1 + n) / (1 + df)) + 1. `duals` are where the descent begins, a dual
    variable for each review of a part, or None for a part that it has not seen yet.
    """
    columns, reviews = counts.add_up([part.frequencies for part in training], MIN_DOCUMENTS)
    labels, frequency = np.concatenate([part.labels for part in training]), reviews[:, 0] + reviews[:, 1]
    idf = (np.log((1 + len(labels)) / (1 + frequency)) + 1).astype(np.float32)
    ratio = None if candidate.floor is None else candidate.floor + np.abs(log_count_ratio(reviews))
    given = examples([part.counts for part in training], labels, columns, idf, frequency, ratio)
    found = optimum(given, candidate.loss, candidate.C, GAP, *_begin(training, duals))
    card = Card(candidate=candidate.name, window=window, intercept=found.intercept)
    return _calibrated(Model(card, columns, idf, (found.u / idf).astype(np.float32)), validation), found


def log_count_ratio(reviews: Array) -> Array:
    """Naive Bayes' evidence of every column: the log of how much more of the positive class it makes up. Shape (m,).

    Wang & Manning, ACL 2012, on which columns occur: r = ln((p / |p|) / (q / |q|)), p and q the smoothed numbers of
    `reviews`, shape (m, 2), by class. Its sign makes no difference to a linear model, so NB-SVM scales by |r|. They go
    some way back to a model without r; a floor under |r| does so too, and gained 0.4 points of validation accuracy.
    """
    smoothed = reviews + SMOOTHING
    negative, positive = np.log(smoothed / smoothed.sum(axis=0)).T
    return positive - negative


def _begin(training: list[Features], duals: list[Array | None] | None) -> tuple[Array, Array]:
    """A dual variable for every review, 0 where none is known, and whether that is so. Shapes (n,)."""
    known = duals or [None] * len(training)
    begin = [np.zeros(len(part.labels)) if dual is None else dual for part, dual in zip(training, known, strict=True)]
    new = [np.full(len(part.labels), dual is None) for part, dual in zip(training, known, strict=True)]
    return np.concatenate(begin).astype(np.float64), np.concatenate(new)


def _calibrated(model: Model, validation: Features) -> Model:
    """Platt's sigmoid over the scores of the validation part (Platt 1999), so that both losses give probabilities."""
    slope, offset = sigmoid(model.scores(validation.counts), validation.labels)
    return model.with_card(slope=slope, offset=offset)


def sigmoid(scores: Array, labels: Array) -> tuple[float, float]:
    """Slope and offset for which logistic(slope * score + offset) fits the labels best, both of shape (n,).

    It is `LogisticRegression(C=1e6)` on one feature, the penalty included, so that separable labels have a slope too;
    Newton's method with steps halved while they do not help (Lin, Lin & Weng, Machine Learning 2007).
    """
    features = np.stack([scores, np.ones_like(scores)])
    penalty = np.array([1e-6, 0.0])

    def loss(found: Array) -> float:
        margins = np.where(labels > 0, 1.0, -1.0) * (found @ features)
        return np.logaddexp(0, -margins).sum() + penalty @ found**2 / 2

    found = np.zeros(2)
    for _ in range(100):
        probabilities = logistic(found @ features)
        gradient = features @ (probabilities - (labels > 0)) + penalty * found
        curvature = (features * (probabilities * (1 - probabilities))) @ features.T + np.diag(penalty + 1e-12)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-12:
            step /= 2
        found = found - step
        if np.abs(step).max() <= 1e-9 * (1 + np.abs(found).max()):
            break
    return float(found[0]), float(found[1])


def train(work: Work, window: Window, candidate: str) -> tuple[Model, dict[str, float], Features]:
    """Train on the batches of a window and publish the artifact. Returns it and its validation figures, for MLflow.

    The descent begins where the last window's ended. Raises MissingInput if a batch of the window has no features yet,
    or only those of other reviews.
    """
    made = {name: features_of(work, name) for name in present(work.storage, window)}
    training = [features.load(work.storage, manifest, "train") for manifest in made.values()]
    validation = Features.stack([features.load(work.storage, manifest, "validation") for manifest in made.values()])
    duals = known_duals(work, window, candidate, made)
    log.info("fit starts", window=str(window), candidate=candidate, reviews=sum(len(part.labels) for part in training))
    model, found = fit(CANDIDATES[candidate], training, validation, str(window), [duals.get(name) for name in made])
    model = model.with_card(trained_on={name: manifest.digest for name, manifest in made.items()})
    model.save(work.folder / "model")
    for name in (WEIGHTS, CARD):
        work.publish(work.folder / "model" / name, name)
    ends = np.cumsum([len(part.labels) for part in training])[:-1]
    save_file(dict(zip(made, np.split(found.duals.astype(np.float32), ends), strict=True)), work.folder / DUALS)
    work.publish(work.folder / DUALS, DUALS)
    work.rows.update(train=len(found.duals), validation=len(validation.labels))
    work.metrics.update(metrics(validation.labels, model.probabilities(validation.counts)))
    work.metrics.update(objective=found.objective, duality_gap=found.gap, passes=float(found.passes))
    return model, work.metrics, validation


def known_duals(work: Work, window: Window, candidate: str, made: Mapping[str, Manifest]) -> dict[str, Array]:
    """Dual variables by batch, from the last earlier window on which this candidate was trained, noted as an input.

    A batch whose features are no longer those of then is left out. See docs/decisions/0012-warm-start.md.
    """
    for end in range(window.end - 1, -1, -1):
        room = keys.model(Window(end), candidate)
        earlier = manifests.find(work.storage, room)
        if earlier is None or DUALS not in earlier.outputs:
            continue
        work.inputs[room] = earlier.digest
        with verified(work.storage, f"{room}/{DUALS}", earlier.output(DUALS).sha256) as path:
            found = mapped(path)
        return {
            name: found[name]
            for name, features_made in made.items()
            if name in found
            and earlier.inputs.get(features_made.room) == features_made.digest
            and len(found[name]) == features_made.rows["train"]
        }
    return {}
