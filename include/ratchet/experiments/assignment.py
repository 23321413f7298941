"""Assigns reviews to the arms of an experiment by a stateless draw, and names the experiment in the prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Arm = Literal["champion", "challenger"]
BITS = 48  # of the digest; a double represents them exactly


@dataclass(frozen=True)
class Experiment:
    """A champion, a challenger, and the share of the reviews that the challenger answers.

    Its text, as in `1/3/0.1`, marks each row of the log that was drawn. Rows without it were made while no challenger
    was loaded; counting them would falsify the ratio of the arms.
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
        """The arm of a unit, which never changes. A larger share moves units to the challenger and none back."""
        return "challenger" if self.draw(unit) < self.share else "champion"

    def draw(self, unit: str) -> float:
        """The draw of a unit, from 0 to below 1, uniform over units.

        Each pair of versions draws independently, so that no unit is always among the first for new models, and the
        effects of one experiment on its units are spread over both arms of the next.
        """
        digest = sha256(f"{self.champion}/{self.challenger}/{unit}".encode()).digest()
        return int.from_bytes(digest[: BITS // 8]) / (1 << BITS)
