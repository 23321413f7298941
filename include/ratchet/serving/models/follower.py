"""Follows one role, champion or challenger: loads the wanted version, and swaps it in while requests are served.

A source names the wanted version, or the reason why there is none, and the cache of its files; see champion.py and
challenger.py.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ratchet.errors import ArtifactError, RatchetError
from ratchet.model.artifact import CARD, Card, Model
from ratchet.serving.models.cache import ModelCache
from ratchet.serving.models.mlflow_source import RegisteredVersion
from ratchet.serving.models.poller import polling

log = structlog.get_logger()

RETRY_SECONDS = 60.0
"""A refused version stays refused until a person acts, so it is not downloaded again at every poll."""

V = TypeVar("V", bound=RegisteredVersion)


class NoVersion(Exception):
    """No version has this role at present. The message is the reason."""


@dataclass(frozen=True)
class LoadedModel(Generic[V]):
    """A verified and warm model. A request takes this reference once and uses it to its end."""

    model: Model
    info: V
    sha256: dict[str, str]
    """SHA-256 of each file, by its name."""
    loaded_at: datetime

    @property
    def version(self) -> int:
        """The model version in MLflow."""
        return self.info.version


class ModelSource(Protocol[V]):
    """Names the wanted version of a role and provides its files."""

    @property
    def name(self) -> str:
        """The role."""
        ...

    @property
    def required(self) -> bool:
        """Whether a loaded model serves on while the wanted one is missing or refused, which then is a problem.

        If false, the role is empty in such a case.
        """
        ...

    @property
    def cache(self) -> ModelCache:
        """The cache of the role's files."""
        ...

    def refresh(self) -> None:
        """Read the ledger. Raises RatchetError or SQLAlchemyError if that is not possible."""
        ...

    def withdrawn(self, info: V, /) -> str:
        """The reason why the ledger excludes a loaded version; empty if it does not."""
        ...

    def find(self) -> V:
        """The wanted version. Raises NoVersion if there is none, RatchetError if that is not known."""
        ...

    def download(self, info: V, folder: Path) -> None:
        """Put the version's files into `folder`. Raises ArtifactError or ServiceUnavailable."""
        ...

    def cached_files(self, info: V) -> dict[str, str] | None:
        """SHA-256 of each file of the version, if that is known without a download."""
        ...

    def verify(self, info: V, card: Card, sha256: dict[str, str], /) -> None:
        """Raises ArtifactError if the files belong to another version."""
        ...

    def loaded(self, info: V, sha256: dict[str, str], /) -> None:
        """Called when the version serves, to update the cache. May raise OSError."""
        ...

    def last_loaded(self) -> Iterable[tuple[V, dict[str, str]]]:
        """The cached versions that may serve while the wanted one is not known, best first."""
        ...


class ModelFollower(Generic[V]):
    """Keeps `current` the verified model that the source wants, or None. Only its own thread changes it."""

    def __init__(self, source: ModelSource[V], poll_seconds: float, *, enabled: bool = True) -> None:
        self.source, self.poll_seconds, self.enabled = source, poll_seconds, enabled
        self.current: LoadedModel[V] | None = None
        self.checked_at: datetime | None = None
        unread = f"The {source.name} has not been read from the ledger yet."
        self.problem = unread if source.required else ""
        """The reason why the wanted version is not loaded or not known; empty if it is loaded."""
        self.absence = unread if enabled and not source.required else ""
        """The reason why no version has the role without an error."""
        self._confirmed: V | None = None  # loaded because the source wants it, not because it was cached
        self._refused: V | None = None
        self._retry_at = 0.0

    def polling(self) -> AbstractContextManager[None]:
        """Refresh every `poll_seconds` while the block runs, if enabled."""
        return polling(self.refresh, self.poll_seconds, f"follow-{self.source.name}") if self.enabled else nullcontext()

    def refresh(self) -> None:
        """Look up the wanted version once and load it. Errors become the `problem`; they are not raised."""
        try:
            problem = self._follow()
        except (RatchetError, SQLAlchemyError, ValidationError, OSError) as error:
            problem = str(error)
            if isinstance(error, ArtifactError) and not self.source.required:
                self._drop(f"The {self.source.name} was refused; see problem.")
            if self.current is None:
                self._start_from_cache(problem)
        if problem and problem != self.problem:
            log.error(f"{self.source.name} not loaded", problem=problem, current=self.current and self.current.version)
        self.problem, self.checked_at = problem, datetime.now(UTC)

    def _follow(self) -> str:
        """Load the wanted version, unless it is loaded already. Returns the remaining problem, or an empty text."""
        self.source.refresh()
        if self.current and (reason := self.source.withdrawn(self.current.info)):
            self._drop(reason)  # now, because MLflow may not respond
        try:
            wanted = self.source.find()
        except NoVersion as reason:
            if self.source.required:
                return str(reason)
            self._drop(str(reason))
            self.source.cache.remove_all_but(set())
            return ""
        if self._confirmed == wanted:
            return ""
        if self._refused == wanted and time.monotonic() < self._retry_at:
            return self.problem
        try:
            self._swap(self._obtain(wanted), problem="")
        except ArtifactError:
            self._refused, self._retry_at = wanted, time.monotonic() + RETRY_SECONDS
            raise
        self._confirmed = wanted
        return ""

    def _obtain(self, info: V) -> LoadedModel[V]:
        """The model from the cache, or else from MLflow. Raises ArtifactError or ServiceUnavailable."""
        cache, sha256 = self.source.cache, self.source.cached_files(info)
        if sha256 and cache.has(sha256[CARD]):
            try:
                return self._load(info, sha256)
            except (ArtifactError, OSError) as error:
                log.warning("cached model refused", problem=str(error))
        with cache.staging() as folder:
            self.source.download(info, folder)
            return self._load(info, cache.add(folder))

    def _load(self, info: V, sha256: dict[str, str]) -> LoadedModel[V]:
        """Verify, load and warm a cached model. Raises ArtifactError."""
        model = self.source.cache.load(sha256[CARD])
        self.source.verify(info, model.card, sha256)
        warm_up(model, info.version)
        return LoadedModel(model, info, sha256, datetime.now(UTC))

    def _start_from_cache(self, problem: str) -> None:
        """Serve the model that served last, if the wanted one is not known or not available."""
        for info, sha256 in self.source.last_loaded():
            try:
                self._swap(self._load(info, sha256), problem)
            except (ArtifactError, OSError) as error:  # the disk may be damaged; the version before may be readable
                log.warning("cached model refused", problem=str(error))
            else:
                log.warning(f"{self.source.name} loaded from the cache", version=info.version, problem=problem)
                return

    def _swap(self, loaded: LoadedModel[V], problem: str) -> None:
        """Make a model current. Its problem is set first, so that no reader sees it beside the earlier problem."""
        before, self.problem, self.absence, self.current = self.current, problem, "", loaded
        log.info(f"{self.source.name} loaded", version=loaded.version, before=before and before.version)
        try:
            self.source.loaded(loaded.info, loaded.sha256)
        except OSError as error:  # the model serves; only the next cold start may need MLflow
            log.warning("cache not written", problem=str(error))

    def _drop(self, reason: str) -> None:
        self.current, self._confirmed, self.absence = None, None, reason


def warm_up(model: Model, version: int) -> None:
    """Have a model predict for the first time, so that its first request is as fast as the others.

    Raises ArtifactError if the prediction is no probability.
    """
    found = model.read(["Great value"], ["It works well and does not cost much."])
    if not (np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()):
        raise ArtifactError(f"Version {version} predicts {found}, which is no probability. Train the window again.")
    gc.collect()
    gc.freeze()  # otherwise a collection sometimes walks all imported modules: a pause of 90 ms
