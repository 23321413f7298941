"""Routes the reviews of a request to champion and challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.experiments.assignment import Arm, Experiment
from ratchet.serving.inference.review import Review
from ratchet.serving.models.challenger import LoadedChallenger
from ratchet.serving.models.champion import LoadedChampion


@dataclass(frozen=True)
class ModelPair:
    """Champion and challenger of one request, which a swap during the request does not change."""

    champion: LoadedChampion
    challenger: LoadedChallenger | None
    experiment: Experiment | None
    """The experiment; None if the challenger predicts no reviews, although it may score them in shadow mode."""

    def model_of(self, arm: Arm) -> LoadedChampion | LoadedChallenger:
        """The model of an arm."""
        return self.challenger if arm == "challenger" and self.challenger else self.champion

    def arms(self, reviews: Sequence[Review]) -> list[Arm]:
        """The arm of each review, drawn for its unit, or for its prediction_id if it names no unit."""
        if self.experiment is None:
            return ["champion"] * len(reviews)
        return [self.experiment.arm(review.unit or review.prediction_id) for review in reviews]


def pair_models(champion: LoadedChampion, challenger: LoadedChallenger | None, share: float) -> ModelPair:
    """The pair of models, without the challenger if it has just become the champion."""
    if challenger is None or challenger.version == champion.version:
        return ModelPair(champion, None, None)
    experiment = Experiment(champion.version, challenger.version, share) if share else None
    return ModelPair(champion, challenger, experiment)
