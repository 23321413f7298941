"""Fits a linear scikit-learn classifier on the window's counts and takes its weights over into our own model."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.candidates import SklearnCandidate
from ratchet.errors import ConfigurationError, FitError
from ratchet.training.problem import Array, Problem, Solution, inverse_document_frequency
from ratchet.training.warm_start import Duals

if TYPE_CHECKING:
    import scipy.sparse as sp

CHECKED_ROWS = 1000  # reviews on which the weights are compared with the estimator's own decision
TOLERANCE = 1e-5
"""Largest accepted difference between a score from the weights and the estimator's own, as a part of the largest
score. Features are float32, so that sums in another order differ by about 1e-7."""


@dataclass(frozen=True)
class _Linear:
    """A fitted linear function of TF-IDF. `idf` and `coefficients` have shape (m,), both 0 for a column left out."""

    idf: Array
    coefficients: Array
    intercept: float

    def scores(self, counts: sp.csr_matrix) -> Array:
        """The score of every review of `counts` (n, m), shape (n,)."""
        return _scores(tfidf(counts, self.idf), self.coefficients[self.idf != 0], self.intercept)


def solve(candidate: SklearnCandidate, problem: Problem, _start: Duals | None) -> Solution:
    """Fit on all reviews and again on the training parts. No warm start: scikit-learn keeps no dual variables.

    Raises ConfigurationError if the estimator cannot be imported or constructed, FitError if its fit does not converge
    or does not end with a linear function of TF-IDF for the classes 0 and 1.
    """
    build(candidate)  # a wrong import string or argument is reported before the counts are copied
    counts, rows = _window_counts(problem), problem.train_rows
    trained, everything = problem.frequencies.sum(axis=1)
    held_out = _fit(candidate, counts[:rows], problem.labels[:rows], trained)
    whole = _fit(candidate, counts, problem.labels, everything)
    return Solution(whole.idf, whole.coefficients.astype(np.float32), whole.intercept, held_out.scores(counts[rows:]))


def build(candidate: SklearnCandidate) -> Any:
    """The unfitted estimator. Raises ConfigurationError if it is not installed, or does not take the arguments."""
    where = f"Candidate {candidate.name!r} in ratchet/candidates.py"
    try:
        import sklearn  # noqa: F401 - weighting the features needs it with any estimator

        kind = resolve_name(candidate.estimator)
    except ImportError as error:
        raise ConfigurationError(
            f"{where} needs scikit-learn's {candidate.estimator}, which cannot be imported here ({error}). "
            "Install ratchet[training,export], in the training image too, or correct the import string."
        ) from error
    except (AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{where} names no class: {candidate.estimator!r} ({error}). Write it like sklearn.svm:LinearSVC."
        ) from error
    try:
        seed = {"random_state": 0} if "random_state" in inspect.signature(kind).parameters else {}
        return kind(**{**seed, **candidate.arguments})
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}. Correct the arguments of {candidate.estimator}.") from error


def tfidf(counts: sp.csr_matrix, idf: Array) -> sp.csr_matrix:
    """Sublinear TF-IDF in rows of length 1: (1 + ln(count)) * idf, normalised. A column of idf 0 is left out.

    `counts` is (n, m) and `idf` (m,); the features have as many columns as `idf` is not 0 at, in the same order. It is
    what scikit-learn's TfidfTransformer(sublinear_tf=True) makes with the same idf.
    """
    from sklearn.preprocessing import normalize

    features = counts.copy() if idf.all() else counts[:, np.flatnonzero(idf)]
    np.log(features.data, out=features.data)
    features.data += 1.0
    features.data *= idf[idf != 0][features.indices]
    return normalize(features, copy=False) if len(idf) and counts.shape[0] else features  # it refuses an empty matrix


def _window_counts(problem: Problem) -> sp.csr_matrix:
    """The counts of all n reviews in the columns of the problem, shape (n, m), float32."""
    import scipy.sparse as sp

    return sp.vstack([part.csr()[:, problem.columns] for part in problem.counts], format="csr")


def _fit(candidate: SklearnCandidate, counts: sp.csr_matrix, labels: Array, frequency: Array) -> _Linear:
    """Fit on `counts` (n, m) and `labels` (n,), where the columns occur in `frequency` (m,) of the n reviews."""
    from sklearn.exceptions import ConvergenceWarning

    idf = inverse_document_frequency(frequency, len(labels))
    features, estimator = tfidf(counts, idf), build(candidate)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            estimator.fit(features, labels)
    except ConvergenceWarning as warning:
        raise FitError(
            f"Candidate {candidate.name!r} did not converge: {warning} Give it more iterations, a wider tolerance or "
            "more regularisation in its arguments."
        ) from warning
    except (TypeError, ValueError) as error:
        raise FitError(
            f"Candidate {candidate.name!r}: {candidate.estimator} cannot be fitted on {features.shape[0]} reviews as "
            f"sparse TF-IDF with labels 0 and 1 ({error}). Choose other arguments or another estimator."
        ) from error
    weights, intercept = linear_function(estimator, features[:CHECKED_ROWS], candidate)
    coefficients = np.zeros(len(idf))
    coefficients[idf != 0] = weights
    return _Linear(idf, coefficients, intercept)


def linear_function(estimator: Any, features: sp.csr_matrix, candidate: SklearnCandidate) -> tuple[Array, float]:
    """Weights (m,) and intercept of a fitted classifier: features @ weights + intercept is positive for class 1.

    The weights are `coef_` or, of a naive Bayes classifier, `feature_log_prob_`, where two rows give their difference.
    The intercept is the estimator's own decision for a review without features. Raises FitError if it has no such
    weights, or its own decision on `features` (n, m) is another one.
    """
    remedy = (
        "Choose a linear classifier, such as sklearn.linear_model:SGDClassifier or sklearn.naive_bayes:ComplementNB."
    )
    name = f"Candidate {candidate.name!r}: {candidate.estimator}"
    classes = np.asarray(getattr(estimator, "classes_", []))
    if classes.tolist() != [0, 1]:
        raise FitError(f"{name} is fitted to the classes {classes.tolist()}, not to [0, 1]. {remedy}")
    weights = _weights(estimator)
    if weights is None or weights.shape not in {(1, features.shape[1]), (2, features.shape[1])}:
        raise FitError(f"{name} has no coef_ or feature_log_prob_ of one or two rows: it is not linear. {remedy}")
    difference = weights[-1] if len(weights) == 1 else weights[1] - weights[0]
    own = _decision(estimator, features)
    intercept = _decision(estimator, features[:1] * 0.0)
    if own is None or intercept is None:
        raise FitError(f"{name} has neither decision_function nor predict_joint_log_proba. {remedy}")
    if not (np.isfinite(difference).all() and np.isfinite(intercept).all()):
        raise FitError(f"{name} ended with weights that are not finite: it diverged. Give it more regularisation.")
    found = _scores(features, difference, float(intercept[0]))
    if not np.abs(found - own).max(initial=0.0) <= TOLERANCE * max(1.0, np.abs(own).max(initial=0.0)):
        raise FitError(f"{name} decides otherwise than its weights do: it is not linear in TF-IDF. {remedy}")
    return difference, float(intercept[0])


def _weights(estimator: Any) -> Array | None:
    weights = getattr(estimator, "coef_", getattr(estimator, "feature_log_prob_", None))
    if weights is None:
        return None
    return np.atleast_2d(np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float64))


def _decision(estimator: Any, features: sp.csr_matrix) -> Array | None:
    """The estimator's own score (n,) of class 1 against class 0."""
    decide = getattr(estimator, "decision_function", getattr(estimator, "predict_joint_log_proba", None))
    if decide is None:
        return None
    found = np.asarray(decide(features), np.float64)
    return found if found.ndim == 1 else found[:, 1] - found[:, 0]


def _scores(features: sp.csr_matrix, weights: Array, intercept: float) -> Array:
    scores: Array = features @ weights + intercept
    return scores
