"""Anytime-valid tests by betting: valid at any number and any time of evaluations.

The capital of bets that are fair under a hypothesis is a martingale if the hypothesis holds. By Ville's inequality
(1939) it ever reaches 1 / significance with probability `significance` at most: exactly, for any number of rows. The
bets are on the importance-weighted differences of two arms, as in Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro,
"Anytime-valid off-policy inference for contextual bandits" (ACM/IMS Journal of Data Science, 2024). The capital is
inverted to a confidence sequence as in Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting" (JRSS B 86, 2024). Their stakes depend on the data. Here the stakes are a fixed mixture, as in Robbins (1970)
and in the mSPRT of Johari, Koomen, Pekelis and Walsh, "Always valid inference" (Operations Research 70, 2022): the
capital then depends on the counts alone, so that a verdict can be replayed from a few numbers in any order of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

CENTRES = (0.5, 0.75, 0.9, 0.97)
"""Guesses of an arm's accuracy. Bets around a closer guess vary less; a wrong guess costs power and nothing else."""
STAKES = tuple(0.75 * 0.5**step for step in range(11))
"""Fractions of the highest stake that cannot be lost entirely, for differences from large ones to some 1e-4."""
HALVINGS = 60  # reaches the precision of a double

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class BettingTest:
    """A mixture of bets of equal weight on the sign and size of a difference in accuracy.

    `payoffs`, shape (cells, bets): the estimate of the difference from one row of each cell, unbiased on average.
    `stakes`, shape (bets,): positive for a difference larger than supposed, negative for a smaller one. No bet can lose
    more than its capital.
    """

    payoffs: Array
    stakes: Array

    @classmethod
    def from_payoffs(cls, payoffs: Array) -> BettingTest:
        """All stakes, of both signs, on each column of `payoffs`, shape (cells, payoffs)."""
        stakes = np.outer(1 / (np.abs(payoffs).max(axis=0) + 1), [*STAKES, *(-stake for stake in STAKES)])
        return cls(np.repeat(payoffs, stakes.shape[1], axis=1), stakes.ravel())

    @classmethod
    def for_arms(cls, share: float) -> BettingTest:
        """The test for rows of either arm. Cells: challenger right, challenger wrong, champion right, champion wrong.

        A row pays its distance to a centre, not 0 or 1, divided by its arm's share: the mean is the same.
        """
        centres = np.array(CENTRES)
        drawn, others = 1 / share, -1 / (1 - share)
        return cls.from_payoffs(
            np.array([drawn * (1 - centres), -drawn * centres, others * (1 - centres), -others * centres])
        )

    @classmethod
    def for_pairs(cls) -> BettingTest:
        """The test for rows of both arms. Cells: only challenger right, only champion right, no difference."""
        return cls.from_payoffs(np.array([[1.0], [-1.0], [0.0]]))

    def log_capital(self, counts: Array | Sequence[int], difference: float = 0.0) -> Array:
        """Logarithm of the capital that began as 1, shape (...), against a supposed difference.

        `counts`, shape (..., cells): number of rows in each cell.
        """
        gains = np.asarray(counts) @ np.log1p(self.stakes * (self.payoffs - difference))
        capital: Array = np.logaddexp.reduce(gains, axis=-1) - log(len(self.stakes))
        return capital

    def interval(self, counts: Sequence[int], significance: float) -> tuple[float, float]:
        """Confidence interval: all differences that are not refuted. It has no gaps: the capital is convex.

        If every difference is refuted, the rows were not drawn as supposed. Then the interval is the one difference
        with the least evidence against it.
        """

        def refuted(difference: float) -> bool:
            return float(self.log_capital(counts, difference)) >= -log(significance)

        low, high = -1.0, 1.0
        for _ in range(2 * HALVINGS):  # ternary search for the difference with the least evidence against it
            left, right = low + (high - low) / 3, high - (high - low) / 3
            if self.log_capital(counts, left) < self.log_capital(counts, right):
                high = right
            else:
                low = left
        least = (low + high) / 2
        return _edge(refuted, least, -1.0), _edge(refuted, least, 1.0)


def _edge(refuted: Callable[[float], bool], inside: float, outside: float) -> float:
    """The edge of the interval between `inside` and `outside`: the first refuted difference, which is conservative."""
    if not refuted(outside):
        return outside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refuted(middle) else (middle, outside)
    return outside
