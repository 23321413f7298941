"""The optimum of a regularised linear classifier by dual coordinate descent, to a stated duality gap.

Minimised is P(w, b) = (|w|^2 + b^2) / 2 + C * sum of losses of y_i (w x_i + b): liblinear's objective, which
scikit-learn's LinearSVC (squared hinge) and LogisticRegression(solver="liblinear") fit. One pass visits every review
and solves for its dual variable alone: Hsieh et al., ICML 2008, for the squared hinge; Yu, Huang & Lin, Machine
Learning 2011, for the logistic loss. The dual value D is below every P, so (P - D) / P says how far from the optimum
one can be at most; the descent ends when that is small enough, wherever it started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import structlog

from ratchet.errors import FitError
from ratchet.kernels.runtime import compiled
from ratchet.training.packed_rows import Array, Examples, fetch, fetch_next, score_of, scores, step_along

log = structlog.get_logger()

Loss = Literal["squared_hinge", "logistic"]

MOST_PASSES = 1000
FRESH_PASSES = 2  # over reviews that no training has seen, before all are visited
QUIET = 0.1
"""A review whose part of the gap is below this share of an even one is left out until the rest is done: then all are
looked at. On 130,000 reviews a warm start needs a fifth fewer visits so, with either loss."""


@dataclass(frozen=True)
class Optimum:
    """`u` by place (m,), `intercept` and `duals` (n,); what it took, and how far from the optimum it is at most."""

    u: Array
    intercept: float
    duals: Array
    objective: float
    gap: float
    passes: int


def minimize(given: Examples, loss: Loss, C: float, target: float, duals: Array, fresh: Array, seed: int = 0) -> Optimum:
    """Descend from `duals`, shape (n,), until the relative duality gap is at most `target`. Deterministic for a seed.

    `fresh` (n,) says of which reviews nobody knows the dual variable yet: they are visited before all are. The dual
    variables make up u and an intercept, which sways with the last reviews visited; P takes the best one for u, and is
    half as far from D so. u is kept in 32 bits, so a gap below about 1e-6 means no more than that. Raises FitError
    where there is no end.
    """
    rng, logistic, intercept = np.random.default_rng(seed), loss == "logistic", np.zeros(1)
    duals = np.clip(duals, min(1e-3 * C, 1e-8), C * (1 - 1e-12)) if logistic else np.maximum(duals, 0.0)
    given.weights[:, 0] = 0.0
    state = *given.stored, given.sign, given.squares, duals, intercept
    _rebuild(*state)
    for _ in range(FRESH_PASSES):
        _pass(rng.permutation(np.flatnonzero(fresh)), *state, C, logistic, 0.0)
    everything = active = np.arange(len(duals))
    below = _dual_value(given, duals, intercept[0], C, logistic)
    for passes in range(1, MOST_PASSES + 1):
        visited = rng.permutation(active)
        active = visited[_pass(visited, *state, C, logistic, QUIET * target * abs(below) / len(duals))]
        before, below = below, _dual_value(given, duals, intercept[0], C, logistic)
        if below - before > 2 * target * abs(below):
            continue  # a pass that gains much is far from the end, and P costs a look at all reviews
        objective, best = _objective(given, C, logistic, intercept[0])
        if objective - below <= target * objective:
            u = given.weights[:-1, 0].copy()
            return Optimum(u, best, duals, objective, (objective - below) / objective, passes)
        active = everything
    raise FitError(
        f"The duality gap is still above {target:.0e} of the objective after {MOST_PASSES} passes. "
        "Choose a smaller C, or a wider gap, for this candidate."
    )


def _dual_value(given: Examples, duals: Array, intercept: float, C: float, logistic: bool) -> float:
    half = (_length(given.weights) + intercept**2) / 2
    if logistic:
        return float(len(duals) * C * np.log(C) - (_entropy(duals) + _entropy(C - duals)).sum() - half)
    return float(duals.sum() - np.square(duals).sum() / (4 * C) - half)


def _entropy(x: Array) -> Array:
    """x ln x, 0 at 0."""
    return x * np.log(np.maximum(x, np.finfo(np.float64).tiny))


def _objective(given: Examples, C: float, logistic: bool, intercept: float) -> tuple[float, float]:
    """P for u and the best intercept, sought from the given one; and that intercept."""
    losses, best = _losses(scores(given, 0.0), given.sign, C, logistic, intercept)
    return (_length(given.weights) + best**2) / 2 + C * losses, best


@compiled
def _length(weights):
    """|w|^2, as u^2 / d^2."""
    total = 0.0
    for k in range(len(weights)):
        if weights[k, 0] != 0.0:
            total += np.float64(weights[k, 0]) ** 2 / weights[k, 1]
    return total


@compiled
def _rebuild(starts, stops, terms, high_at, high, scale, weights, sign, squares, duals, intercept):
    """u and intercept as the dual variables have them: sums over y_i a_i x_i."""
    for row in range(len(duals)):
        fetch_next(row, len(duals), starts, stops, terms, weights)
        if duals[row] != 0.0:
            intercept[0] += duals[row] * sign[row]
            step_along(duals[row] * sign[row], row, starts, stops, terms, high_at, high, scale, weights)


@compiled
def _losses(scores, sign, C, logistic, intercept):
    """Sum of the losses with the best intercept, by Newton's method on it alone; and that intercept."""
    for _ in range(20):
        losses, slope, curvature = 0.0, intercept / C, 1.0 / C
        for row in range(len(scores)):
            margin = sign[row] * (scores[row] + intercept)
            if logistic:
                miss = 1.0 / (1.0 + np.exp(margin))
                losses += np.log1p(np.exp(-abs(margin))) + max(-margin, 0.0)
                slope -= sign[row] * miss
                curvature += miss * (1.0 - miss)
            elif margin < 1.0:
                losses += (1.0 - margin) ** 2
                slope -= 2.0 * sign[row] * (1.0 - margin)
                curvature += 2.0
        step = slope / curvature
        if abs(step) < 1e-6:
            break
        intercept -= step
    return losses, intercept


@compiled
def _pass(
    rows, starts, stops, terms, high_at, high, scale, weights, sign, squares, duals, intercept, C, logistic, quiet
):
    """Visit `rows` in their order. Returns whose part of the duality gap was above `quiet`, shape (rows,).

    P - D is a sum over reviews, and no part of it is negative.
    """
    loud = np.empty(len(rows), np.bool_)
    for k in range(len(rows)):
        fetch(k, rows, starts, stops, terms, weights)
        row = rows[k]
        score = score_of(row, starts, stops, terms, high_at, high, scale, weights) + intercept[0]
        margin, old, square = sign[row] * score, duals[row], squares[row] + 1.0
        if logistic:
            gap = C * (np.log1p(np.exp(-abs(margin))) + max(-margin, 0.0) - np.log(C)) + old * margin
            gap += old * np.log(old) + (C - old) * np.log(C - old)
            new = _logistic_step(margin, old, square, C)
        else:
            slack = 1.0 - margin
            gap = C * max(slack, 0.0) ** 2 + old * old / (4.0 * C) - old * slack
            new = max(old + (slack - old / (2.0 * C)) / (square + 0.5 / C), 0.0)
        loud[k] = gap > quiet
        if new != old:
            step = (new - old) * sign[row]
            duals[row] = new
            intercept[0] += step
            step_along(step, row, starts, stops, terms, high_at, high, scale, weights)
    return loud


@compiled
def _logistic_step(margin, old, square, C):
    """The best dual variable for a review while all others stay: Newton's method (Yu et al. 2011, algorithm 4).

    It is sought as the smaller of itself and its distance z to C, where the logarithm is steep.
    """
    mirrored = square * (C / 2 - old) + margin < 0.0  # the minimum lies beyond C / 2
    begin, slope = (C - old, -margin) if mirrored else (old, margin)
    z = begin * 0.1 if begin > C / 2 else begin
    for _ in range(100):
        gradient = square * (z - begin) + slope + np.log(z / (C - z))
        if abs(gradient) < 1e-6:
            break
        newton = z - gradient / (square + C / (z * (C - z)))
        z = z * 0.1 if newton <= 0.0 else newton if newton < C else (z + C) / 2
    return C - z if mirrored else z
