"""Dual coordinate descent: it ends at liblinear's optimum, within the stated gap, from any start."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from ratchet.candidates import CANDIDATES, GAP, Candidate
from ratchet.errors import FitError
from ratchet.features.document import document
from ratchet.features.feature_files import Features
from ratchet.features.hashing import count
from ratchet.features.ngram_counts import MOST
from ratchet.sources import synthetic
from ratchet.training import packed_rows, solve_compiled, solver
from ratchet.training.fit import fit
from ratchet.training.packed_rows import Examples, make_examples, pack
from ratchet.training.solver import Loss, Optimum, minimize

CASES: list[tuple[Loss, float]] = [
    ("squared_hinge", 0.5),
    ("logistic", 10.0),
    ("squared_hinge", 50.0),
    ("logistic", 0.1),
]


def features(documents: list[str], labels: list[int]) -> Features:
    zeros = np.zeros(len(labels), np.int32)
    return Features(count(documents), np.array(labels, np.int8), zeros, zeros.astype(bool))


@pytest.fixture(scope="module")
def parts() -> list[Features]:
    """Two batches of 400 synthetic reviews; in the first, one has no word and one has a word 3,000 times."""
    lines = (line.decode() for line in synthetic.test_rows(synthetic.Parameters(test_rows=800)))
    rows = [(document(title, text), int(label) - 1) for label, title, text in csv.reader(lines)]
    documents, labels = map(list, zip(*rows, strict=True))
    documents[3:5] = ["", "very " * (3 * MOST) + "good"]
    return [features(documents[:400], labels[:400]), features(documents[400:], labels[400:])]


@pytest.fixture(scope="module")
def columns(parts: list[Features]) -> np.ndarray:
    """Nine of ten columns that occur; the others are left out."""
    seen = np.unique(np.concatenate([part.counts.columns for part in parts]))
    return seen[seen % 10 > 0]


@pytest.fixture(scope="module")
def matrix(parts: list[Features], columns: np.ndarray) -> sp.csr_matrix:
    """scikit-learn's TF-IDF of the same reviews and columns."""
    counts = sp.vstack([part.counts.csr() for part in parts], format="csr")[:, columns]
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts.astype(np.float64))


@pytest.fixture(scope="module")
def labels(parts: list[Features]) -> np.ndarray:
    return np.concatenate([part.labels for part in parts])


@pytest.fixture(scope="module")
def packed(parts: list[Features], columns: np.ndarray, labels: np.ndarray) -> Examples:
    frequency = np.bincount(np.concatenate([part.counts.columns for part in parts]), minlength=1 << 22)[columns]
    idf = np.log((1 + len(labels)) / (1 + frequency)) + 1
    return make_examples(pack([part.counts for part in parts], columns), labels, idf.astype(np.float32))


def solved(examples: Examples, loss: Loss, C: float, target: float, **start: Any) -> Optimum:
    n = len(examples.sign)
    return minimize(copy(examples), loss, C, target, **{"duals": np.zeros(n), "fresh": np.ones(n, bool), **start})


def copy(examples: Examples) -> Examples:
    return replace(examples, weights=examples.weights.copy())


def coefficients(examples: Examples, found: Optimum) -> np.ndarray:
    """The coefficients w of an optimum: u / d."""
    return found.u / np.sqrt(examples.weights[:-1, 1])


def primal(matrix: sp.csr_matrix, labels: np.ndarray, loss: Loss, C: float, w: np.ndarray, b: float) -> float:
    margins = np.where(labels, 1.0, -1.0) * (matrix @ w + b)
    losses = np.logaddexp(0, -margins) if loss == "logistic" else np.maximum(0, 1 - margins) ** 2
    return float((w @ w + b * b) / 2 + C * losses.sum())


@pytest.mark.parametrize(("loss", "C"), CASES)
def test_the_optimum_is_liblinears(
    packed: Examples, matrix: sp.csr_matrix, labels: np.ndarray, loss: Loss, C: float
) -> None:
    """Objective and coefficients agree with those that scikit-learn finds on its own matrix of the same reviews."""
    if loss == "logistic":
        theirs = LogisticRegression(C=C, solver="liblinear", tol=1e-8, max_iter=10_000).fit(matrix, labels)
    else:
        theirs = LinearSVC(C=C, dual=True, tol=1e-8, max_iter=100_000, random_state=0).fit(matrix, labels)
    best = primal(matrix, labels, loss, C, theirs.coef_[0], theirs.intercept_[0])
    found = solved(packed, loss, C, 1e-6)
    ours = coefficients(packed, found)
    assert found.objective == pytest.approx(best, rel=3e-6)
    assert primal(matrix, labels, loss, C, ours, found.intercept) == pytest.approx(best, rel=3e-6)
    assert np.abs(ours - theirs.coef_[0]).max() < 0.01 * np.abs(theirs.coef_[0]).max()
    assert np.linalg.norm(ours - theirs.coef_[0]) < 0.01 * np.linalg.norm(theirs.coef_[0])


@pytest.mark.parametrize(("loss", "C"), CASES)
def test_the_gap_bounds_the_distance_from_the_optimum(
    packed: Examples, matrix: sp.csr_matrix, labels: np.ndarray, loss: Loss, C: float
) -> None:
    """The objective exceeds the best known one by at most the stated gap, and the duals determine the weights."""
    best = solved(packed, loss, C, 1e-6).objective
    for target in (1e-2, 1e-4):
        found = solved(packed, loss, C, target)
        assert found.gap <= target
        assert best * (1 - 1e-5) <= found.objective <= best / (1 - target)
        ours = matrix.T @ (found.duals * np.where(labels, 1.0, -1.0))
        np.testing.assert_allclose(coefficients(packed, found), ours, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize(("loss", "C"), CASES)
def test_a_warm_start_ends_where_a_cold_one_does(packed: Examples, loss: Loss, C: float) -> None:
    """The optimum is the same within the gap from duals of half the reviews, of another C, or at random."""
    cold = solved(packed, loss, C, GAP)
    fresh = np.arange(len(cold.duals)) >= 400
    starts = {
        "half": np.where(fresh, 0.0, cold.duals),
        "another C": solved(packed, loss, 10 * C, GAP).duals,
        "random": np.random.default_rng(0).normal(size=len(cold.duals)) * 10 * C,
    }
    for duals in starts.values():
        warm = solved(packed, loss, C, GAP, duals=duals, fresh=fresh)
        assert warm.gap <= GAP
        assert warm.objective == pytest.approx(cold.objective, rel=GAP)
        difference = coefficients(packed, warm) - coefficients(packed, cold)
        apart = difference @ difference + (warm.intercept - cold.intercept) ** 2
        assert apart <= 8 * GAP * cold.objective  # strong convexity: |w - w*|^2 <= 2 (P - P*) for each of both
    again = solved(packed, loss, C, GAP, duals=cold.duals, fresh=np.zeros_like(fresh))
    assert again.passes <= 2  # u is rebuilt from the dual variables, and P depends on the last reviews visited


def test_the_same_seed_gives_the_same_bytes(packed: Examples) -> None:
    """Another seed visits reviews in another order and ends at another point within the gap."""
    first, again, other = (solved(packed, "squared_hinge", 0.5, GAP, seed=seed) for seed in (0, 0, 1))
    assert first.u.tobytes() == again.u.tobytes()
    assert first.duals.tobytes() == again.duals.tobytes()
    assert first.u.tobytes() != other.u.tobytes()
    assert first.objective == pytest.approx(other.objective, rel=GAP)


def test_the_number_of_cores_changes_nothing(packed: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """One core and eight give the same bytes, in small slices."""
    monkeypatch.setattr(packed_rows, "ROWS", 50)
    found = []
    for cores in (1, 8):
        monkeypatch.setattr("ratchet.kernels.runtime.cpu_count", lambda cores=cores: cores)
        found.append(solved(packed, "logistic", 1.0, GAP))
    assert found[0].u.tobytes() == found[1].u.tobytes()
    assert found[0].objective == found[1].objective


@pytest.mark.parametrize(("loss", "C"), CASES)
def test_the_intercept_is_the_best_for_its_weights(
    packed: Examples, matrix: sp.csr_matrix, labels: np.ndarray, loss: Loss, C: float
) -> None:
    """Any other intercept, with the same weights, has a higher objective."""
    found = solved(packed, loss, C, 1e-2)
    weights = coefficients(packed, found)
    for other in (-0.01, 0.01):
        assert primal(matrix, labels, loss, C, weights, found.intercept + other) > found.objective


def test_a_descent_that_does_not_converge_is_an_error(packed: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to change, and no half-fitted model is returned."""
    monkeypatch.setattr(solver, "MAX_PASSES", 2)
    with pytest.raises(FitError, match="smaller C"):
        solved(packed, "squared_hinge", 50.0, 1e-6)


def test_nb_svm_is_an_svm_on_scaled_features(parts: list[Features], monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's LinearSVC on TF-IDF times the floor and the log-count ratio is the same model."""
    monkeypatch.setattr(solve_compiled, "GAP", 1e-6)
    candidate = CANDIDATES["nb-svm"]
    assert isinstance(candidate, Candidate)
    assert candidate.floor is not None
    model = fit(candidate, parts[:1], parts[1:], "0-1").model
    counts = sp.vstack([part.counts.csr() for part in parts], format="csr").astype(np.float64)
    labels = np.concatenate([part.labels for part in parts])
    counts = counts[:, model.columns]
    weighting = TfidfTransformer(sublinear_tf=True).fit(counts)
    p, q = (1 + (counts[labels == label] > 0).sum(axis=0).A1 for label in (1, 0))
    scaling = sp.diags(candidate.floor + np.abs(np.log((p / p.sum()) / (q / q.sum()))))
    theirs = LinearSVC(C=candidate.C, dual=True, tol=1e-8, max_iter=100_000, random_state=0)
    theirs.fit(weighting.transform(counts) @ scaling, labels)
    scores = theirs.decision_function(weighting.transform(counts) @ scaling)
    np.testing.assert_allclose(model.scores(Features.stack(parts).counts), scores, atol=0.01)
    assert np.corrcoef(model.coefficients, scaling @ theirs.coef_[0])[0, 1] > 0.999
