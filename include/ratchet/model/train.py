"""Fit one candidate on a window: weights from its training parts, calibration from its validation parts."""

from __future__ import annotations

import numpy as np
import structlog
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from ratchet.batches import features_of, present
from ratchet.candidates import CANDIDATES, Candidate
from ratchet.data import features
from ratchet.data.features import DIMENSIONS, Features
from ratchet.jobs import Work
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model, spread, weigh
from ratchet.model.metrics import metrics
from ratchet.windows import Window

log = structlog.get_logger()

MIN_DOCUMENTS = 2
"""A term of a single review cannot generalise; dropping those leaves about a sixth of the columns and the same F1."""


def fit(candidate: Candidate, training: Features, validation: Features, window: str) -> Model:
    """Fit a candidate on the training part and calibrate it on the validation part. Deterministic.

    idf is smoothed as in scikit-learn: ln((1 + n) / (1 + df)) + 1.
    """
    documents, frequencies = training.counts.shape[0], np.bincount(training.counts.indices, minlength=DIMENSIONS)
    columns = np.flatnonzero(frequencies >= MIN_DOCUMENTS)
    idf = (np.log((1 + documents) / (1 + frequencies[columns])) + 1).astype(np.float32)
    weighted = weigh(training.counts, spread(columns, idf))[:, columns]
    classifier = _classifier(candidate).fit(weighted, training.labels)
    card = Card(candidate=candidate.name, window=window, intercept=float(classifier.intercept_[0]))
    model = Model(card, columns, idf, classifier.coef_[0].astype(np.float32))
    return _calibrated(model, validation)


def _classifier(candidate: Candidate) -> LogisticRegression | LinearSVC:
    if candidate.loss == "logistic":
        return LogisticRegression(C=candidate.C, solver="liblinear", random_state=0)
    return LinearSVC(C=candidate.C, random_state=0)


def _calibrated(model: Model, validation: Features) -> Model:
    """Platt's sigmoid over the scores of the validation part (Platt 1999), so that both losses give probabilities."""
    scores = model.scores(validation.counts).reshape(-1, 1)
    sigmoid = LogisticRegression(C=1e6).fit(scores, validation.labels)
    card = model.card.model_copy(update={"slope": float(sigmoid.coef_[0, 0]), "offset": float(sigmoid.intercept_[0])})
    return Model(card, model.columns, model.idf, model.coefficients)


def train(work: Work, window: Window, candidate: str) -> tuple[Model, dict[str, float], Features]:
    """Train on the batches of a window and publish the artifact. Returns it and its validation figures, for MLflow.

    Raises MissingInput if a batch of the window has no features yet, or only those of other reviews.
    """
    made = {name: features_of(work, name) for name in present(work.storage, window)}
    training = Features.stack([features.load(work.storage, manifest, "train") for manifest in made.values()])
    validation = Features.stack([features.load(work.storage, manifest, "validation") for manifest in made.values()])
    log.info("fit starts", window=str(window), candidate=candidate, reviews=len(training.labels))
    model = fit(CANDIDATES[candidate], training, validation, str(window))
    card = model.card.model_copy(update={"trained_on": {name: manifest.digest for name, manifest in made.items()}})
    model = Model(card, model.columns, model.idf, model.coefficients)
    model.save(work.folder / "model")
    for name in (WEIGHTS, CARD):
        work.publish(work.folder / "model" / name, name)
    work.rows.update(train=len(training.labels), validation=len(validation.labels))
    work.metrics.update(metrics(validation.labels, model.probabilities(validation.counts)))
    return model, work.metrics, validation
