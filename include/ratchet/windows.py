"""The window of batches that a week trains on. Week k trains on window 0-k; batch k has the reviews of week k."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ratchet.errors import ConfigurationError

WEEK = timedelta(weeks=1)


@dataclass(frozen=True, order=True)
class Window:
    """Batches 0..end, both included. Text form: `0-4`."""

    end: int

    def __post_init__(self) -> None:
        if self.end < 0:
            raise ConfigurationError(f"A window ends at batch 0 or later, not at {self.end}.")

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read `0-4`. Raises ConfigurationError for anything else, because every window starts at 0."""
        found = re.fullmatch(r"0-(0|[1-9][0-9]*)", text)
        if not found:
            raise ConfigurationError(f"{text!r} is not a window. Write 0-k, for example 0-4.")
        return cls(int(found[1]))

    @property
    def batches(self) -> range:
        """The numbers of its batches, 0 to end."""
        return range(self.end + 1)

    def __str__(self) -> str:
        return f"0-{self.end}"


def week_of(moment: date | datetime, first_week: date) -> int:
    """The number k of the week that `moment` lies in, counted from the Monday `first_week`.

    Raises ConfigurationError before the first week: no batch can belong there.
    """
    day = moment.date() if isinstance(moment, datetime) else moment
    week = (day - first_week) // WEEK
    if week < 0:
        raise ConfigurationError(f"{day} lies before the first week, {first_week}. Set RATCHET_FIRST_WEEK earlier.")
    return week
