"""The job `split`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from ratchet.jobs import keys
from ratchet.jobs.base import FromSetting, Job, JobContext
from ratchet.jobs.options import Delivery, Engine

IMPLEMENTATIONS = {"local": "ratchet.data.split:split", "spark": "ratchet.data.spark.split:split"}
"""The implementation of each engine, as `module:function`."""


class Split(Job):
    """Divide the seed into equal weekly batches and a frozen test set; a later delivery is one batch."""

    order: ClassVar[int] = 30

    delivery: Delivery = keys.SEED
    batches: Annotated[int, FromSetting("seed_batches")] = Field(
        10, ge=1, description="Number of weekly batches that the seed is split into."
    )
    engine: Engine = "local"

    @property
    def prefix(self) -> str:
        """`batches/<delivery>`, where the manifest lies; the batches themselves lie in `batches/`."""
        return keys.split(self.delivery)

    @property
    def parameters(self) -> dict[str, Any]:
        """The number of batches: always 1 for a delivery after the seed."""
        return {"batches": self.batches if self.delivery == keys.SEED else 1}

    def run(self, context: JobContext) -> None:
        """Write the batches, with the chosen engine."""
        context.call(IMPLEMENTATIONS[self.engine], self.delivery, self.parameters["batches"])
