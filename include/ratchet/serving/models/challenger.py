"""The challenger: the version that MLflow's alias names, unless the ledger excludes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ratchet.errors import ArtifactError
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.model.artifact import CARD, Card
from ratchet.serving.models.cache import CHALLENGER_FOLDER, ModelCache
from ratchet.serving.models.follower import LoadedModel, NoVersion
from ratchet.serving.models.mlflow_source import ChallengerInfo, open_registry
from ratchet.serving.settings import ServingSettings

LoadedChallenger = LoadedModel[ChallengerInfo]


class ChallengerSource:
    """MLflow's challenger. Whenever it is not certain that it is sound, there is none, and the champion serves alone.

    It has a follower, a ledger connection and a cache of its own, so that a slow download never delays a new champion.
    """

    name, required = "challenger", False

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.cache = ModelCache(settings.serving_cache.expanduser() / CHALLENGER_FOLDER)
        self._ledger: Ledger | None = None
        self._champion: int | None = None
        self._history = DecisionHistory([])

    def refresh(self) -> None:
        """Read the champion and all decisions from the ledger."""
        self._ledger = self._ledger or Ledger(self.settings.ledger_url, self.settings.registered_model)
        self._champion, self._history = self._ledger.champion().version, self._ledger.history()

    def withdrawn(self, info: ChallengerInfo) -> str:
        """The reason why the ledger excludes a version; empty if it does not."""
        return excluded(info.version, self._champion, self._history)

    def find(self) -> ChallengerInfo:
        """The version that MLflow's alias names.

        Raises NoVersion if the ledger excludes it or there is none, ArtifactError if its bytes are not known.
        """
        info = open_registry(self.settings).challenger()
        if info is None:
            raise NoVersion("There is no challenger yet; the next evaluation registers one.")
        if reason := self.withdrawn(info):
            raise NoVersion(reason)
        _check_judged(info, self._history)
        return info

    def download(self, info: ChallengerInfo, folder: Path) -> None:
        """Put the files into `folder`. Raises ArtifactError or ServiceUnavailable."""
        open_registry(self.settings).download(info, folder)

    def cached_files(self, info: ChallengerInfo) -> dict[str, str]:
        """SHA-256 of each file, which MLflow's tags name."""
        return info.sha256

    def verify(self, info: ChallengerInfo, card: Card, sha256: dict[str, str]) -> None:
        """Raises ArtifactError if the files are of another window or not those of the tags."""
        if card.window != info.window or sha256 != info.sha256:
            raise ArtifactError(f"The files of version {info.version} are of another training. See `ratchet doctor`.")

    def loaded(self, _: ChallengerInfo, sha256: dict[str, str]) -> None:
        """Delete the files of earlier challengers."""
        self.cache.remove_all_but({sha256[CARD]})

    def last_loaded(self) -> Sequence[tuple[ChallengerInfo, dict[str, str]]]:
        """Always empty: a cold start without MLflow has no challenger."""
        return ()


def excluded(version: int, champion: int | None, history: DecisionHistory) -> str:
    """The reason why a version may not be challenger: it is champion, withdrawn or rejected. Empty if it may."""
    if version == champion:
        return f"Version {version} was the challenger and is the champion now; the next evaluation registers another."
    if (withdrawn := history.withdrawn_in(version)) is not None:
        return f"Version {version} was withdrawn in decision {withdrawn}."
    if (rejected := history.rejected_in(version)) is not None:
        return f"Version {version} was rejected in decision {rejected}."
    return ""


def _check_judged(info: ChallengerInfo, history: DecisionHistory) -> None:
    """Raises ArtifactError if the gate has judged this version on other bytes."""
    judged = history.judged_digest(info.version)
    if judged is not None and judged != info.model_digest:
        raise ArtifactError(
            f"MLflow's version {info.version} of the challenger is not the model that was judged under this number. "
            "Was MLflow's database replaced? See `ratchet doctor`."
        )
