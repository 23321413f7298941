"""The champion: the version that the ledger names, with the bytes that its evidence names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ratchet.errors import ArtifactError, ServiceUnavailable
from ratchet.ledger.store import Champion, Ledger
from ratchet.model.artifact import Card
from ratchet.serving.models.cache import ChampionCache
from ratchet.serving.models.follower import LoadedModel, NoVersion
from ratchet.serving.models.mlflow_source import open_registry
from ratchet.serving.models.promotion import Promotion, latest
from ratchet.serving.settings import ServingSettings

LoadedChampion = LoadedModel[Promotion]


class NoModelLoaded(ServiceUnavailable):
    """No verified model is loaded, so no prediction can be made yet."""


class ChampionSource:
    """The ledger's champion. The loaded one serves on while the ledger is unavailable or its champion is refused."""

    name, required = "champion", True

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.cache = ChampionCache(settings.serving_cache, settings.registered_model)
        self.champion: Champion | None = None
        """The champion by the ledger, None until the ledger was read."""
        self._ledger: Ledger | None = None
        self._promotion: Promotion | None = None

    def refresh(self) -> None:
        """Read the champion from the ledger, and its promotion if the champion has changed."""
        self._ledger = self._ledger or Ledger(self.settings.ledger_url, self.settings.registered_model)
        self.champion = self._ledger.champion()
        if self._promotion is None or self._promotion.epoch != self.champion.epoch:
            self._promotion = latest(self._ledger)

    def withdrawn(self, _: Promotion) -> str:
        """Always empty: a champion serves until the next one is loaded."""
        return ""

    def find(self) -> Promotion:
        """The promotion that made the present champion. Raises NoVersion before the first one."""
        if self._promotion is None:
            raise NoVersion("The ledger names no champion yet. Promote a model first: `ratchet promote`.")
        return self._promotion

    def download(self, info: Promotion, folder: Path) -> None:
        """Put the files into `folder`. Raises ArtifactError or ServiceUnavailable."""
        open_registry(self.settings).download(info, folder)

    def cached_files(self, info: Promotion) -> dict[str, str] | None:
        """SHA-256 of each file, if the model of this promotion has served here before."""
        cached = self.cache.find(info)
        return cached.sha256 if cached else None

    def verify(self, info: Promotion, card: Card, _: dict[str, str]) -> None:
        """Raises ArtifactError if the files are of another window or candidate."""
        if (card.window, card.candidate) != (info.window, info.candidate):
            raise ArtifactError(f"The files of version {info.version} are of another training. See `ratchet doctor`.")

    def loaded(self, info: Promotion, sha256: dict[str, str]) -> None:
        """Record the champion for the next cold start. May raise OSError."""
        self.cache.record(info, sha256)

    def last_loaded(self) -> Iterator[tuple[Promotion, dict[str, str]]]:
        """The champions that served last, newest first."""
        return ((each.promotion, each.sha256) for each in self.cache.champions())
