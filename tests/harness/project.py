"""The project's folder, and test data that are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).parents[2]

_reviews = os.environ.get("RATCHET_TEST_REVIEWS", "")
REVIEWS = Path(_reviews).resolve() if _reviews else None
"""An archive of real reviews in Kaggle's layout, from the variable RATCHET_TEST_REVIEWS; None without one."""
