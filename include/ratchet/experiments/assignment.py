"""Which reviews a challenger answers: a draw that needs no memory, and a name under which its rows are found again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Arm = Literal["champion", "challenger"]
BITS = 48  # of the digest; a double holds them exactly


@dataclass(frozen=True)
class Experiment:
    """A challenger that answers a share of what the champion would otherwise answer.

    As text, `1/3/0.1`, it marks every row that was drawn. Rows without it were not, whoever answered them: nothing was
    to be drawn while no challenger was loaded, so to count them would spoil the ratio of the arms.
    """

    champion: int
    challenger: int
    share: float

    def __str__(self) -> str:
        return f"{self.champion}/{self.challenger}/{self.share!r}"

    @classmethod
    def parse(cls, text: str) -> Experiment:
        """The experiment of a row. Raises ValueError for any other text."""
        champion, challenger, share = text.split("/")
        return cls(int(champion), int(challenger), float(share))

    def arm(self, unit: str) -> Arm:
        """Who reads what belongs to a unit: always the same. A larger share takes units over and gives none back."""
        return "challenger" if self.draw(unit) < self.share else "champion"

    def draw(self, unit: str) -> float:
        """Where a unit falls, from 0 to below 1, uniform over units.

        Another pair of versions shuffles anew: nobody is for ever among those who try things first, and what one
        experiment did to its units is spread over both arms of the next.
        """
        digest = sha256(f"{self.champion}/{self.challenger}/{unit}".encode()).digest()
        return int.from_bytes(digest[: BITS // 8]) / (1 << BITS)
