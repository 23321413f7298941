"""The job `score`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ratchet.jobs import keys
from ratchet.jobs.base import Details, Job, JobContext
from ratchet.jobs.options import Batch


class ScoreDetails(Details):
    """The version that was scored."""

    champion: int = Field(description="The model version that was champion.")
    not_scored: str = Field("", description="Why there is no score: the champion was trained on this batch.")


class Score(Job):
    """Score the champion on a batch before any model is trained on it."""

    order: ClassVar[int] = 50
    details_model: ClassVar[type[Details]] = ScoreDetails

    batch: Batch

    @property
    def prefix(self) -> str:
        """`scores/<batch>`."""
        return keys.score(self.batch)

    def run(self, context: JobContext) -> None:
        """Score the champion."""
        context.call("ratchet.promotion.evaluate:score", self.batch, context.registry, context.ledger)
