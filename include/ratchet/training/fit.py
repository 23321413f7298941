"""Fits one candidate on a window: weights from all its reviews, calibration from a second fit on the training parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
import structlog

from ratchet.candidates import CANDIDATES, AnyCandidate, Candidate, SklearnCandidate
from ratchet.features import feature_files, ngram_counts
from ratchet.features.feature_files import Features
from ratchet.jobs.base import JobContext
from ratchet.jobs.batches import features_of, present
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model, logistic
from ratchet.model.metrics import metrics
from ratchet.training import solve_compiled, solve_sklearn, warm_start
from ratchet.training.problem import MIN_DOCUMENTS, Array, Problem, Solution
from ratchet.training.warm_start import DUALS, Duals
from ratchet.windows import Window

log = structlog.get_logger()


@dataclass(frozen=True)
class Fit:
    """A model, and the predictions of the second fit, on the training parts alone, for the v validation reviews.

    `labels` and `probabilities` have shape (v,). `duals` and `metrics` are those of the solver; see `Solution`.
    """

    model: Model
    labels: Array
    probabilities: Array
    duals: Duals | None
    metrics: dict[str, float]


@singledispatch
def solve(candidate: object, _problem: Problem, _start: Duals | None) -> Solution:
    """Solve a window's problem with the solver of the candidate's type: the one place that depends on it."""
    raise TypeError(f"There is no solver for a {type(candidate).__name__}. Register one beside `solve`.")


solve.register(Candidate, solve_compiled.solve)
solve.register(SklearnCandidate, solve_sklearn.solve)


def fit(
    candidate: AnyCandidate,
    training: Sequence[Features],
    validation: Sequence[Features],
    window: str,
    start: Duals | None = None,
) -> Fit:
    """Fit a candidate on both parts of every batch, and again without the validation parts. Deterministic.

    The second fit has not seen the validation parts. Its scores of them give the validation metrics and Platt's sigmoid
    (Platt 1999), which turns the scores of any loss into probabilities. scikit-learn's
    `CalibratedClassifierCV(ensemble=False)` calibrates in the same way. A solver that can start from dual variables
    starts from `start`. Raises FitError if a fit does not end with a linear model.
    """
    parts = [*training, *validation]
    groups = [[part.frequencies for part in each] for each in (training, validation)]
    columns, frequencies = ngram_counts.add_up(groups, MIN_DOCUMENTS)
    problem = Problem(
        counts=[part.counts for part in parts],
        labels=np.concatenate([part.labels for part in parts]),
        train_rows=sum(len(part.labels) for part in training),
        columns=columns,
        frequencies=frequencies,
    )
    found = solve(candidate, problem, start)
    labels = problem.labels[problem.train_rows :]
    slope, offset = sigmoid(found.validation_scores, labels)
    card = Card(candidate=candidate.name, window=window, slope=slope, offset=offset, intercept=found.intercept)
    model = Model(card, columns, found.idf, found.coefficients)
    return Fit(model, labels, logistic(slope * found.validation_scores + offset), found.duals, found.metrics)


def sigmoid(scores: Array, labels: Array) -> tuple[float, float]:
    """Slope and offset with which logistic(slope * score + offset) fits the labels best; both inputs have shape (n,).

    Platt's sigmoid, as `LogisticRegression(C=1e6)` on one feature finds it: with its penalty, so that labels that the
    scores separate have a finite slope too. Newton's method, with a step halved until it lowers the loss (Lin, Lin &
    Weng, Machine Learning 2007).
    """
    features = np.stack([scores, np.ones_like(scores)])
    penalty = np.array([1e-6, 0.0])

    def loss(found: Array) -> float:
        margins = np.where(labels > 0, 1.0, -1.0) * (found @ features)
        return float(np.logaddexp(0, -margins).sum() + penalty @ found**2 / 2)

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


def train(context: JobContext, window: Window, candidate: str) -> Fit:
    """Train on the batches of a window and publish the artifact; its metrics are those of the validation parts.

    A solver with dual variables starts where the candidate's last earlier window ended. Raises MissingInput if a batch
    of the window has no features yet, or features of reviews that have changed since.
    """
    made = {name: features_of(context, name) for name in present(context.storage, window)}
    training, validation = (
        feature_files.load_all(context.storage, made.values(), part) for part in feature_files.PARTS
    )
    start = warm_start.load(context, window, candidate, made)
    context.rows = {part: sum(each.rows[part] for each in made.values()) for part in feature_files.PARTS}
    log.info("fit starts", window=str(window), candidate=candidate, **context.rows)
    found = fit(CANDIDATES[candidate], training, validation, str(window), start)
    found = replace(found, model=found.model.with_card(trained_on={name: each.digest for name, each in made.items()}))
    outputs = [WEIGHTS, CARD]
    found.model.save(context.folder / "model")
    if found.duals is not None:
        warm_start.save(found.duals, made, context.folder / "model" / DUALS)
        outputs.append(DUALS)
    for name in outputs:
        context.publish(context.folder / "model" / name, name)
    context.metrics = {**metrics(found.labels, found.probabilities), **found.metrics}
    return found
