"""The interface of a sink: the storage in which rows of the prediction log end up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ratchet.prediction_log.records import FeedbackOutcome, FeedbackRecord, PredictionRecord


@dataclass(frozen=True)
class WriteResult:
    """The result of one write to a sink, in numbers of rows."""

    new: int
    """Prediction rows that were stored."""
    repeated: int
    """Prediction rows that were stored before, with the same content."""
    contradicting: int
    """Prediction rows dropped because another row of their identity was already stored."""
    outcomes: list[FeedbackOutcome]
    """The outcome for each feedback row, in the order of the rows."""


class Sink(Protocol):
    """Storage for rows. `check` and `write` raise ServiceUnavailable if it does not respond or accepts no rows."""

    immediate: bool
    """Whether the sink accepts a few rows at a time, so that a request may wait for the write."""

    def check(self) -> None:
        """Return if the sink responds."""
        ...

    def write(self, name: str, /, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]) -> WriteResult:
        """Store rows, durably when it returns. Writing the same rows again under the same name changes nothing."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
