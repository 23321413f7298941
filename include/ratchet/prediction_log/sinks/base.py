"""Where rows of the prediction log end up, whatever keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ratchet.prediction_log.feedback import Feedback, Outcome
from ratchet.prediction_log.predictions import Prediction


@dataclass(frozen=True)
class Written:
    """What a sink made of rows: those new to it, those it had, and those that another of their identity forestalled."""

    new: int
    repeated: int
    contradicting: int
    outcomes: list[Outcome]
    """Of the feedback, in its order."""


class Sink(Protocol):
    """Where rows end up. `check` and `write` raise ServiceUnavailable if it does not answer or does not take them."""

    immediate: bool
    """Whether it takes a few rows at a time, so that a request may wait for it."""

    def check(self) -> None:
        """Return if it answers."""
        ...

    def write(self, name: str, predictions: list[Prediction], feedback: list[Feedback]) -> Written:
        """Keep rows, durably when it returns. The same rows again, under the same name, change nothing."""
        ...

    def close(self) -> None: ...
