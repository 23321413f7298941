"""Who answers which review: the champion, or for a share of them the challenger, by a draw that is always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

from ratchet.model.artifact import Model
from ratchet.serving.challengers import Challenger
from ratchet.serving.loader import Served

Arm = Literal["champion", "challenger"]
BITS = 48  # of the digest; a double holds them exactly


class Drawn(Protocol):
    """What is drawn for: everything with the same unit together, and without one each prediction by itself."""

    @property
    def prediction_id(self) -> str: ...
    @property
    def unit(self) -> str | None: ...


def draw(unit: str, champion: int, challenger: int) -> float:
    """Where a unit falls between 0 and 1: uniform over units, and always the same for one.

    Another pair of versions is another experiment, and shuffles anew: nobody is for ever among those who try things
    first, and what one experiment did to its units is spread over both arms of the next.
    """
    digest = sha256(f"{champion}/{challenger}/{unit}".encode()).digest()
    return int.from_bytes(digest[: BITS // 8]) / (1 << BITS)


@dataclass(frozen=True)
class Pair:
    """Champion and challenger as one request sees them, taken once: swaps meanwhile do not touch it."""

    champion: Served
    challenger: Challenger | None
    share: float

    def of(self, arm: Arm) -> tuple[int, Model]:
        """Version and model of an arm."""
        if arm == "challenger" and self.challenger:
            return self.challenger.nominee.version, self.challenger.model
        return self.champion.promotion.version, self.champion.model

    def arms(self, reviews: Sequence[Drawn]) -> list[Arm]:
        """The arm of each review."""
        if not (self.challenger and self.share):
            return ["champion"] * len(reviews)
        versions = self.champion.promotion.version, self.challenger.nominee.version
        places = (draw(review.unit or review.prediction_id, *versions) for review in reviews)
        return ["challenger" if place < self.share else "champion" for place in places]


def paired(champion: Served, challenger: Challenger | None, share: float) -> Pair:
    """The pair; a challenger that has just become the champion is none any more."""
    same = challenger is not None and challenger.nominee.version == champion.promotion.version
    return Pair(champion, None if same else challenger, share)
