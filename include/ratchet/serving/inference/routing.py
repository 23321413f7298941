"""Champion and challenger side by side: who reads which review of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.experiments.assignment import Arm, Experiment
from ratchet.model.artifact import Model
from ratchet.serving.api.schemas import Review
from ratchet.serving.models.challenger import Challenger
from ratchet.serving.models.champion import Served


@dataclass(frozen=True)
class Pair:
    """Champion and challenger as one request sees them, taken once: swaps meanwhile do not touch it."""

    champion: Served
    challenger: Challenger | None
    experiment: Experiment | None
    """None where the challenger answers nothing; it may read in the shadow all the same."""

    def of(self, arm: Arm) -> tuple[int, Model]:
        """Version and model of an arm."""
        if arm == "challenger" and self.challenger:
            return self.challenger.nominee.version, self.challenger.model
        return self.champion.promotion.version, self.champion.model

    def arms(self, reviews: Sequence[Review]) -> list[Arm]:
        """The arm of each review: drawn for its unit, or else for its prediction_id."""
        if self.experiment is None:
            return ["champion"] * len(reviews)
        return [self.experiment.arm(review.unit or review.prediction_id) for review in reviews]


def paired(champion: Served, challenger: Challenger | None, share: float) -> Pair:
    """The pair; a challenger that has just become the champion is none any more."""
    version = champion.promotion.version
    if challenger is None or challenger.nominee.version == version:
        return Pair(champion, None, None)
    return Pair(champion, challenger, Experiment(version, challenger.nominee.version, share) if share else None)
