"""Tests that stay valid however often and whenever anybody looks: bets against a hypothesis, at odds fair under it.

The capital of such bets is a martingale if the hypothesis holds, so by Ville's inequality (1939) it ever reaches
1 / significance with probability `significance` at most: exactly, for any number of rows. What is bet on are the
importance-weighted differences of two arms, as by Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-valid
off-policy inference for contextual bandits" (ACM/IMS Journal of Data Science, 2024), and the capital is inverted to a
confidence sequence as by Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 86,
2024). Their stakes follow the data. Here they are a fixed mixture, as in Robbins (1970) and in the mSPRT of Johari,
Koomen, Pekelis and Walsh, "Always valid inference" (Operations Research 70, 2022): then nothing matters but the counts,
so a verdict can be replayed from a few numbers, in whatever order the rows came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

CENTRES = (0.5, 0.75, 0.9, 0.97)
"""Guesses of how often an arm is right. The nearer one is, the less its bets vary; a wrong one costs power alone."""
STAKES = tuple(0.75 * 0.5**step for step in range(11))
"""Parts of the highest stake that is never lost whole: for large differences down to some in ten thousand."""
HALVINGS = 60  # to a double's last digits

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Bets:
    """Bets on the sign and size of a difference, of equal weight.

    `payoffs` (cells, bets) is what a row of each cell says about the difference, on average the difference itself;
    `stakes` (bets,) is what is staked on its being larger than supposed, or smaller. No bet can lose more than it has.
    """

    payoffs: Array
    stakes: Array

    @classmethod
    def on(cls, payoffs: Array) -> Bets:
        """All stakes, of both signs, on each way to pay, shape (cells, ways)."""
        stakes = np.outer(1 / (np.abs(payoffs).max(axis=0) + 1), [*STAKES, *(-stake for stake in STAKES)])
        return cls(np.repeat(payoffs, stakes.shape[1], axis=1), stakes.ravel())

    @classmethod
    def of_arms(cls, share: float) -> Bets:
        """On rows of either arm. Cells: challenger right, challenger wrong, champion right, champion wrong.

        A row is worth its distance to a centre, not 0 or 1, over its arm's share: on average it comes to the same.
        """
        centres = np.array(CENTRES)
        drawn, others = 1 / share, -1 / (1 - share)
        return cls.on(np.array([drawn * (1 - centres), -drawn * centres, others * (1 - centres), -others * centres]))

    @classmethod
    def of_pairs(cls) -> Bets:
        """On rows that both arms read. Cells: challenger alone right, champion alone right, no difference."""
        return cls.on(np.array([[1.0], [-1.0], [0.0]]))

    def log_capital(self, counts: Array | Sequence[int], difference: float = 0.0) -> Array:
        """Logarithm of what 1 has become, shape (...), after rows by cell, shape (..., cells), against a difference."""
        gains = np.asarray(counts) @ np.log1p(self.stakes * (self.payoffs - difference))
        return np.logaddexp.reduce(gains, axis=-1) - log(len(self.stakes))

    def interval(self, counts: Sequence[int], significance: float) -> tuple[float, float]:
        """All differences that the bets do not refute; as the capital is convex in the difference, there are no gaps.

        If they refute every one, the rows were not drawn as supposed: then it is the one that they refute least.
        """

        def refuted(difference: float) -> bool:
            return float(self.log_capital(counts, difference)) >= -log(significance)

        low, high = -1.0, 1.0
        for _ in range(2 * HALVINGS):  # by thirds, towards the difference that is refuted least
            left, right = low + (high - low) / 3, high - (high - low) / 3
            if self.log_capital(counts, left) < self.log_capital(counts, right):
                high = right
            else:
                low = left
        least = (low + high) / 2
        return _edge(refuted, least, -1.0), _edge(refuted, least, 1.0)


def _edge(refuted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where on the way out refutation begins; the first refuted one, to be on the safe side."""
    if not refuted(outside):
        return outside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refuted(middle) else (middle, outside)
    return outside
