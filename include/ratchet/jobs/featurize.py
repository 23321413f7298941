"""The job `featurize`."""

from __future__ import annotations

from typing import Any, ClassVar

from ratchet.candidates import FEATURIZER, LAYOUT
from ratchet.jobs import keys
from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.options import Batch


class Featurize(Job):
    """Count the n-grams of one batch, once, for every later window."""

    order: ClassVar[int] = 40

    batch: Batch

    @property
    def prefix(self) -> str:
        """`features/<featurizer>/<batch>`."""
        return keys.features(FEATURIZER, self.batch)

    @property
    def parameters(self) -> dict[str, Any]:
        """The definition of the features and the layout of their files."""
        return {"featurizer": FEATURIZER, "layout": LAYOUT}

    def run(self, context: JobContext) -> None:
        """Count the n-grams."""
        context.call("ratchet.features.featurize:featurize", self.batch)
