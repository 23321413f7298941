"""The rows of the prediction log: what was predicted, and the labels that feedback brings later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

LogArm = Literal["champion", "challenger", "shadow"]

FeedbackOutcome = Literal["added", "known", "contradicts", "unknown prediction", "accepted"]
"""The result of storing a label. The first label of a prediction is final: the same label again is `known`, another one
`contradicts`. `unknown prediction`: stored, but the log has no such prediction yet. `accepted`: stored, and compared
with earlier labels later."""

COMPARED_FIELDS = ("model_version", "label", "title_length", "text_length", "terms")
"""The fields, besides the probability, that are equal in two rows of one prediction. No digest of the text is stored
for this purpose, because the digest of a short text reveals the text."""


class LogRecord:
    """A dataclass with a time `at` in UTC, and its form as JSON."""

    at: datetime

    def to_fields(self) -> dict[str, Any]:
        """The fields as JSON values; the time as text that sorts and that Postgres and SQLite read."""
        return self.__dict__ | {"at": self.at.isoformat(sep=" ", timespec="microseconds")}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """The inverse of `to_fields`. Raises KeyError, TypeError or ValueError for fields of another form."""
        return cls(**fields | {"at": datetime.fromisoformat(fields["at"])})


@dataclass(frozen=True)
class PredictionRecord(LogRecord):
    """One predicted review. Title and text are None unless RATCHET_SERVING_LOG_TEXT allows them."""

    prediction_id: str
    at: datetime
    model_version: int
    arm: LogArm
    label: Literal[0, 1]
    probability: float
    """Probability of label 1."""
    title_length: int
    """Length in characters, as `text_length`."""
    text_length: int
    terms: int
    """Number of distinct n-grams of the review that the model knows."""
    key: str
    """Name of the API key of the request, never the key itself; empty for a key without a name."""
    seconds: float
    """Mean model time per review of the request, in seconds."""
    experiment: str = ""
    """The experiment for which the arm was drawn, as in `1/3/0.1`; empty if it was not drawn."""
    title: str | None = None
    text: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """The unique key of a row: the champion may answer a review and the challenger score it in shadow mode."""
        return self.prediction_id, self.arm

    def is_repeat_of(self, other: Any) -> bool:
        """Whether another row of this identity has the same content, as it has when a caller repeats a request.

        A model gives equal texts equal probabilities; SQLite may return one with another last digit.
        """
        alike = all(getattr(self, name) == getattr(other, name) for name in COMPARED_FIELDS)
        return bool(alike and abs(self.probability - other.probability) < 1e-12)


@dataclass(frozen=True)
class FeedbackRecord(LogRecord):
    """The true label of one prediction."""

    prediction_id: str
    label: Literal[0, 1]
    at: datetime
