"""A person's approval or rejection of a challenger."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ratchet.errors import ConfigurationError

MAX_NAME_LENGTH = 100
"""Characters of a name that are kept: it comes from a user directory and is shown in tables, logs and tags."""


class Approval(BaseModel):
    """One response of one person to one challenger."""

    model_config = ConfigDict(frozen=True)

    response: Literal["approve", "reject"] = Field(
        validation_alias=AliasChoices("response", "says"), description="Rows written before 0.1 call it `says`."
    )
    by: str = Field(min_length=1, description="The name that Airflow or the command line gave.")
    at: str = Field("", description="Time of the response, ISO 8601; empty if given by hand: see the decision's time.")

    @field_validator("by", mode="before")
    @classmethod
    def _one_printable_line(cls, name: str) -> str:
        """Drop control characters: a line break or an escape sequence in a name would forge a log or a table."""
        printable = "".join(character if character.isprintable() else " " for character in name)
        return " ".join(printable.split())[:MAX_NAME_LENGTH]

    @property
    def summary(self) -> str:
        """`approved by NAME` or `rejected by NAME`, as the reasons of a decision quote it."""
        return f"{'approved' if self.response == 'approve' else 'rejected'} by {self.by}"

    @property
    def identity(self) -> str:
        """16 hexadecimal digits, equal for equal approvals: a job that runs again records its approval once."""
        return hashlib.sha256(f"{self.response}/{self.by}/{self.at}".encode()).hexdigest()[:16]


def approval_from(response: str, by: str, at: str = "") -> Approval | None:
    """The approval in three arguments of a job; None if all are empty, because no approval was requested.

    Raises ConfigurationError if `response` is neither approve nor reject, or if `by` is empty.
    """
    if not (response or by or at):
        return None
    try:
        return Approval.model_validate({"response": response.lower(), "by": by, "at": at})
    except ValidationError as error:
        raise ConfigurationError(
            f"{response!r} by {by!r} is not an approval. "
            "Write --response approve or --response reject, and --by with a name."
        ) from error
