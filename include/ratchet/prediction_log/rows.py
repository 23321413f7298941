"""What predictions and feedback have in common: the form in which they are written."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self


class Row:
    """A dataclass with a time `at`, which is in UTC."""

    at: datetime

    def fields(self) -> dict[str, Any]:
        """As JSON has it; the time in a form that Postgres, SQLite and people read, and that sorts."""
        return self.__dict__ | {"at": self.at.isoformat(sep=" ", timespec="microseconds")}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """The inverse of `fields`. Raises KeyError, TypeError or ValueError for what is no such row."""
        return cls(**fields | {"at": datetime.fromisoformat(fields["at"])})
