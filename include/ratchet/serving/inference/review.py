"""A review as inference reads it, independent of the API's schemas."""

from __future__ import annotations

from typing import Protocol


class Review(Protocol):
    """One review of a request."""

    @property
    def title(self) -> str:
        """The review's title; may be empty."""
        ...

    @property
    def text(self) -> str:
        """The review's text; not empty."""
        ...

    @property
    def prediction_id(self) -> str:
        """The identity of the prediction."""
        ...

    @property
    def unit(self) -> str | None:
        """The unit of assignment in experiments; None: the prediction itself."""
        ...
