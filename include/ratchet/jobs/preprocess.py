"""The job `preprocess`."""

from __future__ import annotations

from typing import ClassVar

from ratchet.jobs import keys
from ratchet.jobs.base import Details, Job, JobContext
from ratchet.jobs.ingest import Order
from ratchet.jobs.options import Delivery, Engine

IMPLEMENTATIONS = {
    "local": "ratchet.data.preprocess:preprocess",
    "spark": "ratchet.data.spark.preprocess:preprocess",
}
"""The implementation of each engine, as `module:function`."""


class PreprocessDetails(Details):
    """The facts of a delivery that `split` needs."""

    order: Order


class Preprocess(Job):
    """Read reviews, move invalid rows into the quarantine, and drop duplicates."""

    order: ClassVar[int] = 20
    details_model: ClassVar[type[Details]] = PreprocessDetails

    delivery: Delivery = keys.SEED
    engine: Engine = "local"

    @property
    def prefix(self) -> str:
        """`processed/<delivery>`."""
        return keys.processed(self.delivery)

    def run(self, context: JobContext) -> None:
        """Sort the rows into reviews and quarantine, with the chosen engine."""
        context.call(IMPLEMENTATIONS[self.engine], self.delivery)
