"""Who serves: the ledger's champion, verified and warm, swapped in by one reference while requests go on."""

from __future__ import annotations

import gc
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ratchet.errors import ArtifactError, RatchetError, ServiceUnavailable
from ratchet.ledger.store import Champion, Ledger
from ratchet.model.artifact import Model
from ratchet.serving.models.cache import Cache, Kept
from ratchet.serving.models.mlflow_source import versions
from ratchet.serving.models.poller import following
from ratchet.serving.models.promotion import Promotion, latest
from ratchet.serving.settings import ServingSettings

log = structlog.get_logger()

RETRY_SECONDS = 60.0
"""A version that was refused stays what it is until a person acts, so it is not downloaded again at every look."""


class NothingServed(ServiceUnavailable):
    """No verified model is loaded, so nothing can be answered yet."""


@dataclass(frozen=True)
class Served:
    """One champion with all that an answer needs. A request takes this reference once and keeps to it."""

    model: Model
    kept: Kept
    loaded_at: datetime

    @property
    def promotion(self) -> Promotion:
        return self.kept.promotion


class Loader:
    """Follows the ledger. `served` is None until a model is verified; whatever fails later, it serves on."""

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.cache = Cache(settings.serving_cache, settings.registered_model)
        self.served: Served | None = None
        self.champion: Champion | None = None
        self.problem = "The ledger was not asked yet."
        self.checked_at: datetime | None = None
        self._ledger: Ledger | None = None
        self._confirmed: int | None = None  # the epoch that was swapped in on the ledger's word, not the cache's
        self._refused, self._retry_at = 0, 0.0

    def following(self) -> AbstractContextManager[None]:
        """Look at the ledger now and then for as long as the block runs."""
        return following(self.refresh, self.settings.serving_poll_seconds, "follow-ledger")

    def refresh(self) -> None:
        """Look at the ledger once and serve its champion. What goes wrong is told, and the old one serves on."""
        try:
            problem = self._swap()
        except (RatchetError, SQLAlchemyError, ValidationError, OSError) as error:
            problem = str(error)
            if self.served is None:
                self._start_from_cache(error)
        if problem and problem != self.problem:
            log.error("champion not served", problem=problem, served=self.served and self.served.promotion.version)
        self.problem, self.checked_at = problem, datetime.now(UTC)

    def _swap(self) -> str:
        """Serve the ledger's champion, unless it is served already. Returns why it is not, or nothing."""
        self._ledger = self._ledger or Ledger(self.settings.ledger_url, self.settings.registered_model)
        self.champion = self._ledger.champion()
        if self._confirmed == self.champion.epoch:
            return ""
        if self._refused == self.champion.epoch and time.monotonic() < self._retry_at:
            return self.problem
        promotion = latest(self._ledger)
        if promotion is None:
            return "The ledger names no champion yet. Promote a model first: `ratchet promote`."
        try:
            self._serve(self._obtain(promotion), problem="")
        except ArtifactError:
            self._refused, self._retry_at = promotion.epoch, time.monotonic() + RETRY_SECONDS
            raise
        self._confirmed = promotion.epoch
        return ""

    def _obtain(self, promotion: Promotion) -> Served:
        """The champion from the cache, or else from MLflow."""
        kept = self.cache.find(promotion)
        if kept:
            try:
                return self._load(kept)
            except (ArtifactError, OSError) as error:
                log.warning("cached model refused", problem=str(error))
        with self.cache.aside() as folder:
            versions(self.settings).fetch(promotion, folder)
            return self._load(self.cache.take(folder, promotion))

    def _start_from_cache(self, error: Exception) -> None:
        """Serve whoever served last, if the ledger cannot be asked or its champion not be had."""
        for kept in self.cache.champions():
            try:
                self._serve(self._load(kept), problem=str(error))
            except (ArtifactError, OSError) as refused:  # of a disk that cannot read it, the one before may be whole
                log.warning("cached model refused", problem=str(refused))
            else:
                log.warning("served from the cache", version=kept.promotion.version, because=str(error))
                return

    def _load(self, kept: Kept) -> Served:
        """Verify, load and warm a cached model, so that its first request is as fast as any. Raises ArtifactError."""
        model = self.cache.load(kept.address)
        if (model.card.window, model.card.candidate) != (kept.promotion.window, kept.promotion.candidate):
            raise ArtifactError(f"The files of version {kept.promotion.version} are of another training.")
        warm(model, kept.promotion.version)
        return Served(model, kept, datetime.now(UTC))

    def _serve(self, served: Served, problem: str) -> None:
        """Swap. What is wrong with it is told first, so that nobody sees it beside the problem of the one before."""
        before, self.problem, self.served = self.served, problem, served
        log.info("champion served", version=served.promotion.version, before=before and before.promotion.version)
        try:
            self.cache.remember(served.kept)
        except OSError as error:  # it serves all the same; only the next cold start may need MLflow
            log.warning("cache not written", problem=str(error))


def warm(model: Model, version: int) -> None:
    """Let a model read for the first time. Raises ArtifactError if what it answers is no probability."""
    answer = model.read(["Great value"], ["It works well and does not cost much."])
    if not (np.isfinite(answer).all() and (answer >= 0).all() and (answer <= 1).all()):
        raise ArtifactError(f"Version {version} answers {answer}, which is no probability.")
    gc.collect()
    gc.freeze()  # else now and then a collection walks all imports: 90 ms in which nobody is answered
