"""95 % intervals of scores, from counts alone. Pure functions with a fixed seed."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from ratchet.model.metrics import macro_f1

LEVEL = 0.95
RESAMPLES = 5_000
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def wilson(found: int, of: int) -> tuple[float, float]:
    """The score interval of the share `found` / `of` (Wilson, JASA 1927); (0, 1) if `of` is 0."""
    if not of:
        return 0.0, 1.0
    share, spread = found / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(table: np.ndarray[Any, Any], *, champion: bool) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of the macro-F1 of champion or challenger.

    `table` has counts by [label][champion's prediction][challenger's prediction], shape (2, 2, 2). Resampling reviews
    is equivalent to drawing its cells from a multinomial: docs/decisions/0002.
    """
    rows = int(table.sum())
    drawn = np.random.default_rng(0).multinomial(rows, table.ravel() / rows, size=RESAMPLES).reshape(-1, 2, 2, 2)
    low, high = np.quantile(macro_f1(drawn, champion=champion), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
