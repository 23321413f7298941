"""The job `promote`."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ratchet.jobs import keys
from ratchet.jobs.base import Details, Job, JobContext
from ratchet.jobs.options import WindowOption
from ratchet.ledger.approval import Approval, approval_from
from ratchet.ledger.decision import Check


class PromoteDetails(Details):
    """The decision and its reasons."""

    decision: int = Field(description="The decision's id in the ledger.")
    action: str = Field(description="`promote` or `keep`.")
    version: int | None = Field(description="The challenger.")
    champion: int | None = Field(description="The champion after the decision.")
    reasons: list[str]
    checks: list[Check] = Field(description="Every check of the gate.")
    approval: str = Field("", description="The person who approved or rejected it; empty if there was none.")


class Promote(Job):
    """Promote the challenger or keep the champion, by evidence and approval, and record it in the ledger."""

    order: ClassVar[int] = 80
    details_model: ClassVar[type[Details]] = PromoteDetails

    window: WindowOption
    response: str = Field("", description="A person's response: approve or reject. Empty without an approval.")
    by: str = Field("", description="The name of that person, for the ledger.")
    at: str = Field("", description="Time of the response, ISO 8601; distinguishes two responses of one person.")

    @model_validator(mode="after")
    def _valid_approval(self) -> Self:
        _ = self.approval
        return self

    @property
    def approval(self) -> Approval | None:
        """The approval that the options spell out. Raises ConfigurationError for half of one."""
        return approval_from(self.response, self.by, self.at)

    @property
    def prefix(self) -> str:
        """`decisions/<window>`."""
        return keys.decision(self.window)

    @property
    def parameters(self) -> dict[str, Any]:
        """An approval is a parameter: a decision without it, or with another one, is another result.

        Its key is `answer`, as in stores of before 0.1, whose results are still valid.
        """
        given = self.approval
        approval = {"answer": given.response, "by": given.by, "at": given.at} if given else {}
        return {"window": str(self.window), **approval}

    def run(self, context: JobContext) -> None:
        """Decide, record the decision, and move the aliases."""
        context.call(
            "ratchet.promotion.promote:promote",
            self.window,
            context.registry,
            context.ledger,
            context.settings,
            self.approval,
        )
