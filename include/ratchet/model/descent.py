"""The optimum of a regularised linear classifier by dual coordinate descent, to a stated duality gap.

Minimised is P(w, b) = (|w|^2 + b^2) / 2 + C * sum of losses of y_i (w x_i + b): liblinear's objective, which
scikit-learn's LinearSVC (squared hinge) and LogisticRegression(solver="liblinear") fit. One pass visits every review
and solves for its dual variable alone: Hsieh et al., ICML 2008, for the squared hinge, with their shrinking; Yu, Huang
& Lin, Machine Learning 2011, for the logistic loss. The dual value D is below every P, so (P - D) / P says how
far from the optimum one can be at most; the descent ends when that is small enough, wherever it started.

Reviews stay counts: x_i = s_i * tf * d, with a scale s_i per review and d_j per column. With u = d * w, a score is
s_i * sum(tf * u), and a step of w along x_i changes u by tf * d^2: so u and d^2 lie side by side, and counts suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import structlog

from ratchet.compiled import compiled, in_slices
from ratchet.data.counts import BITS, COLUMN, DIMENSIONS, Counts
from ratchet.errors import FitError
from ratchet.jit import prefetch
from ratchet.model.scoring import TF, tf

log = structlog.get_logger()

Array = np.ndarray[Any, Any]
Loss = Literal["squared_hinge", "logistic"]

MOST_PASSES = 1000
TF4 = TF.astype(np.float32)
SHIFT, f4 = np.uint32(BITS), np.float32
LINE = 16  # terms that come into the cache together
ROWS, TERMS = 8192, 1 << 20  # of a slice, where all cores may help


@dataclass(frozen=True)
class Examples:
    """The reviews of a window: their counts, +1 or -1 by label, and what makes features of counts.

    `terms` name the place of a column in `weights`, those that occur often first (`order`, shape (m,)), so that they
    stay in the cache; columns that are not used share the last place. Shapes: `sign`, `scale`, `squares` (n,);
    `weights` (m + 1, 2): u and d^2.
    """

    counts: Counts
    sign: Array
    scale: Array
    squares: Array
    weights: Array
    order: Array

    @property
    def stored(self) -> tuple[Array, ...]:
        return self.counts.starts, self.counts.terms, self.counts.high_at, self.counts.high


@dataclass(frozen=True)
class Optimum:
    """`u` (m,) and `intercept` as above, `duals` (n,); what it took, and how far from the optimum it is at most."""

    u: Array
    intercept: float
    duals: Array
    objective: float
    gap: float
    passes: int


def examples(
    parts: Sequence[Counts], labels: Array, columns: Array, idf: Array, frequency: Array, ratio: Array | None = None
) -> Examples:
    """Arrange a window for the descent; its counts are copied once.

    `columns` are those in use, with `idf`, `frequency` and `ratio`, all of shape (m,). Reviews have length 1 in
    TF-IDF; d is idf, or idf times the ratio.
    """
    order = np.argsort(-np.frexp(frequency)[1].astype(np.int8), kind="stable")  # by powers of 2
    place_of = np.full(DIMENSIONS, len(columns), np.uint32)
    place_of[columns[order]] = np.arange(len(columns), dtype=np.uint32)
    terms, end = np.empty(sum(len(part.terms) for part in parts), np.uint32), 0
    for part in parts:
        start, end = end, end + len(part.terms)
        _exchange(part.terms, place_of, terms[start:end])
    counts = Counts.stack(parts, terms)
    weights = np.zeros((len(columns) + 1, 2), np.float32)
    weights[:-1, 0] = np.square(idf[order])  # for the length, then it is u's place
    weights[:-1, 1] = weights[:-1, 0] if ratio is None else weights[:-1, 0] * np.square(ratio[order])
    lengths, squares = _squares(counts, weights)
    scale = np.divide(1.0, np.sqrt(lengths), out=np.zeros_like(lengths), where=lengths > 0)
    return Examples(counts, np.where(labels > 0, 1.0, -1.0), scale, squares * scale**2, weights, order)


def optimum(
    given: Examples, loss: Loss, C: float, target: float, duals: Array, fresh: Array | None = None, seed: int = 0
) -> Optimum:
    """Descend from `duals`, shape (n,), until the relative duality gap is at most `target`. Deterministic for a seed.

    `fresh` (n,) says of which reviews nobody knows the dual variable yet: they are visited once before all are. u is
    kept in 32 bits, so a gap below about 1e-6 means no more than that. Raises FitError where there is no end.
    """
    rng, logistic = np.random.default_rng(seed), loss == "logistic"
    duals = np.clip(duals, min(1e-3 * C, 1e-8), C * (1 - 1e-12)) if logistic else np.maximum(duals, 0.0)
    intercept = np.zeros(1)
    given.weights[:, 0] = 0.0
    state = *given.stored, given.sign, given.scale, given.squares, given.weights, duals, intercept
    _rebuild(*state)
    if fresh is not None and 0 < fresh.sum() < len(fresh):
        _pass(rng.permutation(np.flatnonzero(fresh)), *state, C, logistic, np.inf)
    everything = active = np.arange(len(duals), dtype=np.int64)
    shrunk_above, below = np.inf, _dual_value(given, duals, intercept[0], C, logistic)
    for passes in range(1, MOST_PASSES + 1):
        visited = rng.permutation(active)
        kept, shrunk_above = _pass(visited, *state, C, logistic, shrunk_above)
        active = np.sort(visited[kept])
        before, below = below, _dual_value(given, duals, intercept[0], C, logistic)
        if below - before > 2 * target * abs(below):
            continue  # a pass that gains much is far from the end, and P costs a look at all reviews
        objective = _objective(state, C, logistic)
        if objective - below <= target * objective:
            u = np.empty(len(given.order))
            u[given.order] = given.weights[:-1, 0]
            return Optimum(u, float(intercept[0]), duals, objective, (objective - below) / objective, passes)
        active, shrunk_above = everything, np.inf
    raise FitError(
        f"The duality gap is still above {target:.0e} of the objective after {MOST_PASSES} passes. "
        "Choose a smaller C, or a wider gap, for this candidate."
    )


def _dual_value(given: Examples, duals: Array, intercept: float, C: float, logistic: bool) -> float:
    half = (_length(given.weights) + intercept**2) / 2
    if logistic:
        return float(len(duals) * C * np.log(C) - (_entropy(duals) + _entropy(C - duals)).sum() - half)
    return float(duals.sum() - (duals @ duals) / (4 * C) - half)


def _entropy(x: Array) -> Array:
    """x ln x, 0 at 0."""
    return x * np.log(np.maximum(x, np.finfo(np.float64).tiny))


def _objective(state: tuple[Any, ...], C: float, logistic: bool) -> float:
    *_, weights, duals, intercept = state
    losses = in_slices(lambda first, last: _loss(first, last, *state, logistic), len(duals), ROWS)
    return float((_length(weights) + intercept[0] ** 2) / 2 + C * sum(losses))


def _squares(counts: Counts, weights: Array) -> Array:
    """Sums over tf^2 times either weight for every review, shape (2, n)."""
    found = np.empty((2, len(counts)))
    stored = counts.starts, counts.terms, counts.high_at, counts.high
    in_slices(lambda first, last: _square(first, last, *stored, weights, found), len(counts), ROWS)
    return found


def _exchange(terms: Array, place_of: Array, out: Array) -> None:
    in_slices(lambda first, last: _place(terms[first:last], place_of, out[first:last]), len(terms), TERMS)


@compiled
def _place(terms, place_of, out):
    """Columns become places; counts stay."""
    for k in range(len(terms)):
        out[k] = place_of[terms[k] & COLUMN] | terms[k] & ~COLUMN


@compiled
def _square(first, last, starts, terms, high_at, high, weights, found):
    for row in range(first, last):
        first_sum, second_sum = 0.0, 0.0
        for place in range(starts[row], starts[row + 1]):
            square = tf(terms, place, high_at, high) ** 2
            first_sum += square * weights[terms[place] & COLUMN, 0]
            second_sum += square * weights[terms[place] & COLUMN, 1]
        found[0, row], found[1, row] = first_sum, second_sum


@compiled
def _length(weights):
    """|w|^2, as u^2 / d^2."""
    total = 0.0
    for k in range(len(weights)):
        if weights[k, 0] != 0.0:
            total += np.float64(weights[k, 0]) ** 2 / weights[k, 1]
    return total


@compiled
def _dot(row, starts, terms, high_at, high, weights):
    """Sum of tf * u. Four sums side by side, because an addition waits for the one before."""
    a, b, c, d = f4(0), f4(0), f4(0), f4(0)
    place, stop = starts[row], starts[row + 1]
    while place + 3 < stop:
        one, two, three, four = terms[place], terms[place + 1], terms[place + 2], terms[place + 3]
        a += TF4[one >> SHIFT] * weights[one & COLUMN, 0]
        b += TF4[two >> SHIFT] * weights[two & COLUMN, 0]
        c += TF4[three >> SHIFT] * weights[three & COLUMN, 0]
        d += TF4[four >> SHIFT] * weights[four & COLUMN, 0]
        place += 4
    while place < stop:
        a += TF4[terms[place] >> SHIFT] * weights[terms[place] & COLUMN, 0]
        place += 1
    for k in _high(row, starts, high_at):
        b += f4(1.0 + np.log(high[k])) * weights[terms[high_at[k]] & COLUMN, 0]
    return np.float64((a + b) + (c + d))


@compiled
def _add(step, row, starts, terms, high_at, high, weights):
    """u along a review, by a step."""
    short = f4(step)
    for place in range(starts[row], starts[row + 1]):
        term = terms[place]
        weights[term & COLUMN, 0] += short * TF4[term >> SHIFT] * weights[term & COLUMN, 1]
    for k in _high(row, starts, high_at):
        column = terms[high_at[k]] & COLUMN
        weights[column, 0] += short * f4(1.0 + np.log(high[k])) * weights[column, 1]


@compiled
def _high(row, starts, high_at):
    """Which of the high counts, for which TF4 holds 0, are this review's."""
    if len(high_at) == 0:
        return range(0, 0)
    return range(np.searchsorted(high_at, starts[row]), np.searchsorted(high_at, starts[row + 1]))


@compiled
def _fetch(k, rows, starts, terms, weights):
    """Have what the next visits need come nearer during this one: terms of the one after next, weights of the next."""
    if k + 2 < len(rows):
        for place in range(starts[rows[k + 2]], starts[rows[k + 2] + 1], LINE):
            prefetch(terms, place)
    if k + 1 < len(rows):
        for place in range(starts[rows[k + 1]], starts[rows[k + 1] + 1]):
            prefetch(weights, np.int64(terms[place] & COLUMN) * 2)


@compiled
def _rebuild(starts, terms, high_at, high, sign, scale, squares, weights, duals, intercept):
    """u and intercept as the dual variables have them: sums over y_i a_i x_i."""
    for row in range(len(duals)):
        if duals[row] != 0.0:
            intercept[0] += duals[row] * sign[row]
            _add(duals[row] * sign[row] * scale[row], row, starts, terms, high_at, high, weights)


@compiled
def _loss(first, last, starts, terms, high_at, high, sign, scale, squares, weights, duals, intercept, logistic):
    """Sum of the losses of some reviews."""
    total = 0.0
    for row in range(first, last):
        score = scale[row] * _dot(row, starts, terms, high_at, high, weights) + intercept[0]
        margin = sign[row] * score
        if logistic:
            total += np.log1p(np.exp(-abs(margin))) + max(-margin, 0.0)
        else:
            total += max(1.0 - margin, 0.0) ** 2
    return total


@compiled
def _pass(
    rows, starts, terms, high_at, high, sign, scale, squares, weights, duals, intercept, C, logistic, shrunk_above
):
    """Visit `rows` in their order. Returns which are to be visited again, and above which gradient to shrink then.

    Shrinking (squared hinge): a dual variable at 0 whose gradient is above all that were violated in the last pass
    will most likely stay there, so its review is left out until the end.
    """
    kept, highest = np.ones(len(rows), np.bool_), -np.inf
    for k in range(len(rows)):
        _fetch(k, rows, starts, terms, weights)
        row = rows[k]
        score = scale[row] * _dot(row, starts, terms, high_at, high, weights) + intercept[0]
        margin, old = sign[row] * score, duals[row]
        if logistic:
            new = _logistic_step(margin, old, squares[row] + 1.0, C)
        else:
            gradient = margin - 1.0 + old / (2.0 * C)
            if old == 0.0 and gradient > 0.0:
                kept[k] = gradient <= shrunk_above
                highest = max(highest, 0.0)
                continue
            highest = max(highest, gradient)
            new = max(old - gradient / (squares[row] + 1.0 + 0.5 / C), 0.0)
        if new != old:
            step = (new - old) * sign[row]
            duals[row] = new
            intercept[0] += step
            _add(step * scale[row], row, starts, terms, high_at, high, weights)
    return kept, highest if highest > 0.0 else np.inf


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
