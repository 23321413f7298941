"""What the app's lifespan owns and its routes use."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import CapacityLimiter

from ratchet.prediction_log.log import PredictionLog
from ratchet.serving.arms import Pair, paired
from ratchet.serving.challengers import Challengers
from ratchet.serving.group_commit import GroupCommit
from ratchet.serving.loader import Loader, NothingServed, Served
from ratchet.serving.metrics import Metrics
from ratchet.serving.settings import ServingSettings
from ratchet.serving.shadow import Shadow

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
            raise NothingServed("No verified model is loaded yet. GET /model says why, to those who have a key.")
        return served

    def pair(self) -> Pair:
        """Champion and challenger, taken once a request. Raises NothingServed."""
        return paired(self.served(), self.challengers.current, self.settings.serving_challenger_share)
