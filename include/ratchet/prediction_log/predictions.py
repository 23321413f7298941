"""What is kept of every answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ratchet.prediction_log.rows import Row

Arm = Literal["champion", "challenger", "shadow"]

SAME = ("model_version", "label", "title_length", "text_length", "terms")
"""What two rows of one prediction have in common, besides the probability. No digest of the text is kept for this: one
of a short text gives the text away."""


@dataclass(frozen=True)
class Prediction(Row):
    """One answered review. Title and text are None unless RATCHET_SERVING_LOG_TEXT allows them."""

    prediction_id: str
    at: datetime
    model_version: int
    arm: Arm
    label: Literal[0, 1]
    probability: float
    """Of label 1."""
    title_length: int
    """In characters, as `text_length`."""
    text_length: int
    terms: int
    """Distinct n-grams of the review that the model knows."""
    key: str
    """Name of the API key that asked, never the key; empty for one without a name."""
    seconds: float
    """Of the work on the request's reviews, divided by their number."""
    experiment: str = ""
    """The experiment for which the arm was drawn, as in `1/3/0.1`; empty if it was not drawn."""
    title: str | None = None
    text: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """There is one row of each: the champion may answer a review, and a shadow score it as well."""
        return self.prediction_id, self.arm

    def same(self, other: Any) -> bool:
        """Whether another row of this identity says the same: then the caller only asked again.

        The model gives equal texts equal probabilities; SQLite may read one back with another last digit.
        """
        alike = all(getattr(self, name) == getattr(other, name) for name in SAME)
        return alike and abs(self.probability - other.probability) < 1e-12
