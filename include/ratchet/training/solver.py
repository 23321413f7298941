"""Fits a regularised linear classifier by dual coordinate descent, to a stated duality gap.

It minimises P(w, b) = (|w|^2 + b^2) / 2 + C * sum of losses of y_i (w x_i + b). This is liblinear's objective, which
scikit-learn's LinearSVC (squared hinge) and LogisticRegression(solver="liblinear") minimise too. One pass visits every
review and solves for its dual variable alone: Hsieh et al., ICML 2008, for the squared hinge; Yu, Huang & Lin, Machine
Learning 2011, for the logistic loss. The dual value D is below every P, so (P - D) / P bounds the distance from the
optimum. The descent ends when that bound is small enough, from any start.
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

MAX_PASSES = 1000
FRESH_PASSES = 2  # over reviews without a known dual variable, before all reviews are visited
SHRINKING = 0.1
"""A review that contributes less than this share of the average to the gap is skipped until the others have converged;
then all are visited again. On 130,000 reviews a warm start needs a fifth fewer visits with it, for both losses."""


@dataclass(frozen=True)
class Optimum:
    """A fitted model with its cost and its distance from the optimum.

    `u` (m,) is by place, `duals` (n,) by review. `objective` is P, `gap` is (P - D) / P, `passes` counts the passes.
    """

    u: Array
    intercept: float
    duals: Array
    objective: float
    gap: float
    passes: int


def minimize(
    examples: Examples, loss: Loss, C: float, target: float, duals: Array, fresh: Array, seed: int = 0
) -> Optimum:
    """Descend from `duals`, shape (n,), until the relative duality gap is at most `target`. Deterministic for a seed.

    `fresh` (n,) marks reviews whose dual variable is not known yet; they are visited first. The dual variables
    determine u and an intercept that depends much on the last reviews visited. P is taken with the best intercept for
    u instead, which halves P - D. u has 32 bits, so the gap cannot be resolved below about 1e-6. Raises FitError if the
    gap is above `target` after MAX_PASSES passes.
    """
    rng, logistic, intercept = np.random.default_rng(seed), loss == "logistic", np.zeros(1)
    duals = np.clip(duals, min(1e-3 * C, 1e-8), C * (1 - 1e-12)) if logistic else np.maximum(duals, 0.0)
    examples.weights[:, 0] = 0.0
    state = *examples.arrays, examples.sign, examples.squares, duals, intercept
    _rebuild(*state)
    for _ in range(FRESH_PASSES):
        _pass(rng.permutation(np.flatnonzero(fresh)), *state, C, logistic, 0.0)
    everything = active = np.arange(len(duals))
    dual = _dual_value(examples, duals, intercept[0], C, logistic)
    for passes in range(1, MAX_PASSES + 1):
        visited = rng.permutation(active)
        active = visited[_pass(visited, *state, C, logistic, SHRINKING * target * abs(dual) / len(duals))]
        previous, dual = dual, _dual_value(examples, duals, intercept[0], C, logistic)
        if dual - previous > 2 * target * abs(dual):
            continue  # after a large gain the gap is still wide, and P needs the scores of all reviews
        objective, best = _objective(examples, C, logistic, intercept[0])
        if objective - dual <= target * objective:
            u = examples.weights[:-1, 0].copy()
            return Optimum(u, best, duals, objective, (objective - dual) / objective, passes)
        active = everything
    raise FitError(
        f"The duality gap is still above {target:.0e} of the objective after {MAX_PASSES} passes. "
        "Choose a smaller C for this candidate, or a wider GAP, in ratchet/candidates.py."
    )


def _dual_value(examples: Examples, duals: Array, intercept: float, C: float, logistic: bool) -> float:
    half = (_length(examples.weights) + intercept**2) / 2
    if logistic:
        return float(len(duals) * C * np.log(C) - (_entropy(duals) + _entropy(C - duals)).sum() - half)
    return float(duals.sum() - np.square(duals).sum() / (4 * C) - half)


def _entropy(x: Array) -> Array:
    """The function x ln x, which is 0 at 0."""
    entropy: Array = x * np.log(np.maximum(x, np.finfo(np.float64).tiny))
    return entropy


def _objective(examples: Examples, C: float, logistic: bool, intercept: float) -> tuple[float, float]:
    """P for u and the best intercept, and that intercept; the search starts at `intercept`."""
    losses, best = _losses(scores(examples, 0.0), examples.sign, C, logistic, intercept)
    return (_length(examples.weights) + best**2) / 2 + C * losses, best


@compiled
def _length(weights):
    """The squared length |w|^2, as the sum of u^2 / d^2."""
    total = 0.0
    for k in range(len(weights)):
        if weights[k, 0] != 0.0:
            total += np.float64(weights[k, 0]) ** 2 / weights[k, 1]
    return total


@compiled
def _rebuild(starts, stops, terms, high_at, high, scale, weights, sign, _squares, duals, intercept):
    """Set u and the intercept to the sums over y_i a_i x_i, for dual variables a_i."""
    for row in range(len(duals)):
        fetch_next(row, len(duals), starts, stops, terms, weights)
        if duals[row] != 0.0:
            intercept[0] += duals[row] * sign[row]
            step_along(duals[row] * sign[row], row, starts, stops, terms, high_at, high, scale, weights)


@compiled
def _losses(scores, sign, C, logistic, intercept):
    """The sum of the losses with the best intercept, found by Newton's method, and that intercept."""
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
    rows, starts, stops, terms, high_at, high, scale, weights, sign, squares, duals, intercept, C, logistic, least_gap
):
    """Visit `rows` in order. Returns a mask (rows,) of those that contributed more than `least_gap` to P - D.

    P - D is a sum over reviews of terms that are never negative.
    """
    active = np.empty(len(rows), np.bool_)
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
        active[k] = gap > least_gap
        if new != old:
            step = (new - old) * sign[row]
            duals[row] = new
            intercept[0] += step
            step_along(step, row, starts, stops, terms, high_at, high, scale, weights)
    return active


@compiled
def _logistic_step(margin, old, square, C):
    """The best dual variable of a review while all others stay: Newton's method (Yu et al. 2011, algorithm 4).

    The unknown z is the dual variable or its distance to C, whichever is smaller, because the logarithm is steep there.
    """
    mirrored = square * (C / 2 - old) + margin < 0.0  # the minimum lies beyond C / 2
    start, slope = (C - old, -margin) if mirrored else (old, margin)
    z = start * 0.1 if start > C / 2 else start
    for _ in range(100):
        gradient = square * (z - start) + slope + np.log(z / (C - z))
        if abs(gradient) < 1e-6:
            break
        newton = z - gradient / (square + C / (z * (C - z)))
        z = z * 0.1 if newton <= 0.0 else newton if newton < C else (z + C) / 2
    return C - z if mirrored else z
