"""Where the project lies, and data that are not part of it."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).parents[2]

_given = os.environ.get("RATCHET_TEST_REVIEWS", "")
REVIEWS = Path(_given).resolve() if _given else None
"""An archive of real reviews in Kaggle's layout, from the variable RATCHET_TEST_REVIEWS; None without one."""
