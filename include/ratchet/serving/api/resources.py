"""The resources that the app's lifespan owns and its routes use."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import CapacityLimiter

from ratchet.prediction_log.log import PredictionLog
from ratchet.serving.inference.routing import ModelPair, pair_models
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.metrics import Metrics
from ratchet.serving.models.challenger import ChallengerSource
from ratchet.serving.models.champion import ChampionSource, LoadedChampion, NoModelLoaded
from ratchet.serving.models.follower import ModelFollower
from ratchet.serving.models.mlflow_source import ChallengerInfo
from ratchet.serving.models.promotion import Promotion
from ratchet.serving.settings import ServingSettings

PREDICT_THREADS = 2
"""Threads for large requests. More of them would compete for the interpreter's lock with each other and the loop."""


@dataclass
class Resources:
    """The resources of one app; nothing is global."""

    settings: ServingSettings
    champion_source: ChampionSource
    champion: ModelFollower[Promotion]
    challenger: ModelFollower[ChallengerInfo]
    shadow: Shadow
    log: PredictionLog
    metrics: Metrics
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(PREDICT_THREADS))
    stopping: bool = False

    @classmethod
    def create(cls, settings: ServingSettings, shadow: Shadow, log: PredictionLog, metrics: Metrics) -> Resources:
        """All resources, not started yet."""
        source, seconds = ChampionSource(settings), settings.serving_poll_seconds
        champion = ModelFollower(source, seconds)
        challenger = ModelFollower(ChallengerSource(settings), seconds, enabled=settings.challenger_enabled)
        return cls(settings, source, champion, challenger, shadow, log, metrics)

    def loaded_champion(self) -> LoadedChampion:
        """The champion that is loaded now. Raises NoModelLoaded if there is none."""
        if (loaded := self.champion.current) is None:
            raise NoModelLoaded("No verified model is loaded yet. GET /v1/model with an API key returns the reason.")
        return loaded

    def model_pair(self) -> ModelPair:
        """Champion and challenger for one request. Raises NoModelLoaded if there is no champion."""
        return pair_models(self.loaded_champion(), self.challenger.current, self.settings.serving_challenger_share)
