"""What a person said when the pipeline asked whether a challenger may become champion."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ratchet.errors import ConfigurationError

LONGEST = 100
"""Characters of a name that are kept: it comes from a user directory and ends in tables, logs and tags."""


class Answer(BaseModel):
    """One person's yes or no, once."""

    model_config = ConfigDict(frozen=True)

    says: Literal["approve", "reject"]
    by: str = Field(min_length=1, description="The name that Airflow, or the command line, gave.")
    at: str = Field("", description="When it was given, ISO 8601; empty by hand, where the decision's time tells.")

    @field_validator("by", mode="before")
    @classmethod
    def _one_printable_line(cls, name: str) -> str:
        """A name may hold anything; a line break or an escape sequence in it would forge a log or a table."""
        return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[:LONGEST]

    @property
    def words(self) -> str:
        return f"{'approved' if self.says == 'approve' else 'rejected'} by {self.by}"

    @property
    def identity(self) -> str:
        """The same for the same answer, so that it is recorded once, however often its job runs."""
        return hashlib.sha256(f"{self.says}/{self.by}/{self.at}".encode()).hexdigest()[:16]


def answered(says: str, by: str, at: str = "") -> Answer | None:
    """The answer that three arguments of a job spell out; None if all are empty, because nobody was asked.

    Raises ConfigurationError for an answer that is neither yes nor no, or that nobody gave.
    """
    if not (says or by or at):
        return None
    try:
        return Answer(says=says.lower(), by=by, at=at)
    except ValidationError as error:
        raise ConfigurationError(
            f"{says!r} by {by!r} is no answer. Write --answer approve or --answer reject, and --by with a name."
        ) from error
