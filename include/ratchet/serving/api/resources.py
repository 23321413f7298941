"""What the app's lifespan owns and its routes use."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import CapacityLimiter

from ratchet.prediction_log.log import PredictionLog
from ratchet.serving.inference.routing import Pair, paired
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.inference.write_batcher import GroupCommit
from ratchet.serving.metrics import Metrics
from ratchet.serving.models.challenger import Challengers
from ratchet.serving.models.champion import Loader, NothingServed, Served
from ratchet.serving.settings import ServingSettings

THREADS = 2
"""For requests that are too long for the loop. More would take turns on Python's one lock, and the loop with them."""


@dataclass
class Resources:
    """One app's own; nothing of it is global."""

    settings: ServingSettings
    loader: Loader
    challengers: Challengers
    shadow: Shadow
    log: PredictionLog
    commit: GroupCommit
    metrics: Metrics
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS))
    stopping: bool = False

    def served(self) -> Served:
        """The champion, taken once a request: a swap meanwhile does not touch it. Raises NothingServed."""
        if (served := self.loader.served) is None:
            raise NothingServed("No verified model is loaded yet. GET /v1/model says why, to those who have a key.")
        return served

    def pair(self) -> Pair:
        """Champion and challenger, taken once a request. Raises NothingServed."""
        return paired(self.served(), self.challengers.current, self.settings.serving_challenger_share)
