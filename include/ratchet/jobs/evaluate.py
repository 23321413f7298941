"""The job `evaluate`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ratchet.jobs import keys
from ratchet.jobs.base import Details, Job, JobContext
from ratchet.jobs.options import WindowOption


class EvaluateDetails(Details):
    """The versions that were compared."""

    version: int | None = Field(description="The challenger; None if its artifact could not be registered.")
    champion: int | None = Field(description="The champion of that moment; None before the first.")


class Evaluate(Job):
    """Register the best candidate as challenger and measure it beside the champion."""

    order: ClassVar[int] = 70
    details_model: ClassVar[type[Details]] = EvaluateDetails

    window: WindowOption
    candidates: str = Field("linear-svc", description="The trained candidates to compare, separated by commas.")

    @property
    def prefix(self) -> str:
        """`evaluations/<window>`."""
        return keys.evaluation(self.window)

    @property
    def parameters(self) -> dict[str, Any]:
        """The window, and the candidates as they were given."""
        return {"window": str(self.window), "candidates": self.candidates}

    def run(self, context: JobContext) -> None:
        """Register the challenger and publish the evidence."""
        names = [name.strip() for name in self.candidates.split(",")]
        context.call("ratchet.promotion.evaluate:evaluate", self.window, names, context.registry, context.ledger)
