"""Fit one candidate on a window: weights from all its reviews, calibration from those that a second fit leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import structlog

from ratchet.candidates import CANDIDATES, GAP, Candidate
from ratchet.features import featurize, ngram_counts
from ratchet.features.featurize import Features
from ratchet.jobs.base import JobContext
from ratchet.jobs.batches import features_of, present
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model, logistic
from ratchet.model.metrics import metrics
from ratchet.training import warm_start
from ratchet.training.packed_rows import Arrangement, Array, Examples, arrange, examples, often_first, scores
from ratchet.training.solver import Optimum, optimum
from ratchet.training.warm_start import DUALS, Duals
from ratchet.windows import Window

log = structlog.get_logger()

MIN_DOCUMENTS = 2
"""A term of a single review cannot generalise; dropping those leaves about a sixth of the columns and the same F1."""

SMOOTHING = 1.0  # reviews of each class in which a column is taken to occur beside those seen


@dataclass(frozen=True)
class Fit:
    """A model, and what the second fit, on the training parts alone, says of reviews it has not seen.

    `whole` and `held_out` are the optima of both; `labels` and `probabilities` (v,) are of the validation parts.
    """

    model: Model
    whole: Optimum
    held_out: Optimum
    labels: Array
    probabilities: Array


def fit(
    candidate: Candidate,
    training: Sequence[Features],
    validation: Sequence[Features],
    window: str,
    begin: Duals | None = None,
) -> Fit:
    """Fit a candidate on both parts of every batch, and again without the validation parts. Deterministic.

    The second fit's scores of the validation parts are fair ones: they give Platt's sigmoid (Platt 1999), so that both
    losses give probabilities, and the figures of the validation. scikit-learn's `CalibratedClassifierCV` with
    `ensemble=False` does so too. Either descent starts where `begin` says.
    """
    parts, rows = [*training, *validation], sum(len(part.labels) for part in training)
    labels = np.concatenate([part.labels for part in parts])
    groups = [[part.frequencies for part in each] for each in (training, validation)]
    columns, (trained, everything) = ngram_counts.add_up(groups, MIN_DOCUMENTS)
    order = often_first(everything.sum(axis=0))
    arranged = arrange([part.counts for part in parts], columns[order])
    duals, of = begin or Duals.unknown(len(labels), rows), (candidate, arranged, labels)
    with ThreadPoolExecutor(1) as beside:
        second = beside.submit(_solved, *of, np.take(trained, order, axis=1), duals.held_out)
        _, idf, whole = _solved(*of, np.take(everything, order, axis=1), duals.whole)
        given, _, held_out = second.result()
    fair = scores(given.part(slice(rows, None)), held_out.intercept)
    slope, offset = sigmoid(fair, labels[rows:])
    card = Card(candidate=candidate.name, window=window, slope=slope, offset=offset, intercept=whole.intercept)
    weights = np.empty((2, len(columns)), np.float32)
    weights[:, order] = idf, whole.u / idf
    return Fit(Model(card, columns, *weights), whole, held_out, labels[rows:], logistic(slope * fair + offset))


def _solved(
    candidate: Candidate, arranged: Arrangement, labels: Array, reviews: Array, duals: Array
) -> tuple[Examples, Array, Optimum]:
    """Fit on the first reviews, as many as `duals` has; in so many of those does each column occur as `reviews` says.

    `reviews` has shape (2, m). Returns all reviews as that fit sees them, its idf (m,), and the optimum.
    """
    idf, ratio = _weighting(candidate, reviews, len(duals))
    given = examples(arranged, labels, idf, ratio)
    seen, fresh = given.part(slice(len(duals))), np.isnan(duals)
    return given, idf, optimum(seen, candidate.loss, candidate.C, GAP, np.nan_to_num(duals), fresh)


def _weighting(candidate: Candidate, reviews: Array, rows: int) -> tuple[Array, Array | None]:
    """idf and, for an NB-SVM, the ratio, both (m,), of columns that occur in `reviews` (2, m), of `rows` in all.

    idf is smoothed as in scikit-learn: ln((1 + n) / (1 + df)) + 1; it is 0 for a column of too few of these reviews.
    Logarithms are taken once for each number.
    """
    frequency = reviews[0] + reviews[1]
    idf = np.log((1 + rows) / (1 + np.arange(frequency.max(initial=0) + 1))) + 1
    idf[:MIN_DOCUMENTS] = 0.0
    ratio = None if candidate.floor is None else _ratio(reviews, frequency >= MIN_DOCUMENTS) + candidate.floor
    return idf.astype(np.float32)[frequency], ratio


def _ratio(reviews: Array, used: Array) -> Array:
    """Naive Bayes' evidence of every column: the log of how much more of one class it makes up than of the other.

    Wang & Manning, ACL 2012, on which columns occur: r = ln((p / |p|) / (q / |q|)), p and q the smoothed numbers of
    `reviews`, shape (2, m), by class, and |p| over the columns `used`, shape (m,). The sign of r makes no difference
    to a linear model, so this is |r|. They go some way back to a model without r; a floor under |r| does so too, and
    gained 0.4 points of validation accuracy.
    """
    logs = np.log(np.arange(reviews.max(initial=0) + 1) + SMOOTHING)
    totals = (reviews * used).sum(axis=1) + SMOOTHING * np.count_nonzero(used)
    negative, positive = logs.astype(np.float32)[reviews]
    return np.abs(positive - negative - np.float32(np.log(totals[1] / totals[0])))


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


def train(context: JobContext, window: Window, candidate: str) -> Fit:
    """Train on the batches of a window and publish the artifact. Its figures are those of the validation parts.

    Both descents begin where the last window's ended. Raises MissingInput if a batch of the window has no features
    yet, or only those of other reviews.
    """
    made = {name: features_of(context, name) for name in present(context.storage, window)}
    training, validation = (featurize.load_all(context.storage, made.values(), part) for part in featurize.PARTS)
    begin = warm_start.known(context, window, candidate, made)
    context.rows = {part: sum(each.rows[part] for each in made.values()) for part in featurize.PARTS}
    log.info("fit starts", window=str(window), candidate=candidate, **context.rows)
    found = fit(CANDIDATES[candidate], training, validation, str(window), begin)
    found = replace(found, model=found.model.with_card(trained_on={name: each.digest for name, each in made.items()}))
    found.model.save(context.folder / "model")
    warm_start.save(Duals(found.whole.duals, found.held_out.duals), made, context.folder / "model" / DUALS)
    for name in (WEIGHTS, CARD, DUALS):
        context.publish(context.folder / "model" / name, name)
    context.metrics = metrics(found.labels, found.probabilities)
    context.metrics.update(
        objective=found.whole.objective, duality_gap=found.whole.gap, passes=float(found.whole.passes)
    )
    return found
