"""Verified models on this machine's disk, so that the API starts and rolls back without MLflow and Postgres.

    <SHA-256 of model.json>/model.json, model.safetensors
    challenger/              the same for the challenger, if there is an experiment
    champions.json           the last champions, newest first, each with the address of its files

The card names the digest of the weights, so the address covers every byte.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ratchet.errors import ArtifactError
from ratchet.jobs.storage import sha256_of
from ratchet.model import artifact
from ratchet.model.artifact import CARD, WEIGHTS, Model
from ratchet.serving.models.promotion import Promotion

MAX_CHAMPIONS = 2  # the champion, and the one before it for a rollback while MLflow is unavailable
CHAMPIONS = "champions.json"
STAGING = ".aside-"
CHALLENGER_FOLDER = "challenger"  # the cache of champions does not clean it


class CachedChampion(BaseModel):
    """A champion whose files are in the cache."""

    model_config = ConfigDict(frozen=True)

    registered_model: str
    promotion: Promotion
    sha256: dict[str, str] = Field(description="SHA-256 of each file, by its name.")

    @property
    def address(self) -> str:
        """The name of the folder with its files."""
        return self.sha256[CARD]


class ModelCache:
    """A folder of models, each at its address. Only one process may use it."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()

    def has(self, address: str) -> bool:
        """Whether there are files at the address; they are not verified yet."""
        return (self.root / address).is_dir()

    def load(self, address: str) -> Model:
        """The verified model. Raises ArtifactError if a file is missing or a byte of it has changed."""
        folder = self.root / address
        model = artifact.load(folder)
        if sha256_of(folder / CARD) != address:
            raise ArtifactError(f"{folder / CARD} was altered. Delete {folder}; it is downloaded again.")
        return model

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder on the cache's own disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=STAGING, ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "model"
            path.mkdir()
            yield path

    def add(self, folder: Path) -> dict[str, str]:
        """Move a model's files to their address; returns their SHA-256 by name.

        The files are not flushed, because `load` verifies them whenever they are read.
        """
        sha256 = {file: sha256_of(folder / file) for file in (CARD, WEIGHTS)}
        shutil.rmtree(self.root / sha256[CARD], ignore_errors=True)
        folder.replace(self.root / sha256[CARD])
        return sha256

    def remove_all_but(self, names: Set[str]) -> None:
        """Delete all other folders, and what a killed process or a full disk left in staging."""
        if self.root.is_dir():
            for path in self.root.iterdir():
                if path.is_dir() and path.name not in names:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name.startswith(STAGING):
                    path.unlink(missing_ok=True)


class ChampionCache(ModelCache):
    """The files of the last champions, and the list of their promotions."""

    def __init__(self, root: Path, registered_model: str) -> None:
        super().__init__(root)
        self.registered_model = registered_model

    def champions(self) -> list[CachedChampion]:
        """The last champions, newest first, not verified yet. An unreadable list counts as empty."""
        try:
            found = TypeAdapter(list[CachedChampion]).validate_json((self.root / CHAMPIONS).read_bytes())
        except (OSError, ValidationError):
            return []
        return [each for each in found if each.registered_model == self.registered_model]

    def find(self, promotion: Promotion) -> CachedChampion | None:
        """The cached files of the promoted model.

        Version and digest must both match, because after a reset of MLflow a version number may name another model.
        """
        for champion in self.champions():
            cached = champion.promotion
            if (cached.version, cached.model_digest) == (promotion.version, promotion.model_digest):
                return champion
        return None

    def record(self, promotion: Promotion, sha256: dict[str, str]) -> None:
        """Put the champion that serves now on top of the list, and delete the files of all but MAX_CHAMPIONS."""
        current = CachedChampion(registered_model=self.registered_model, promotion=promotion, sha256=sha256)
        others = [each for each in self.champions() if each.address != current.address]
        champions = [current, *others][:MAX_CHAMPIONS]
        handle, staged = tempfile.mkstemp(dir=self.root, prefix=STAGING)
        with os.fdopen(handle, "wb") as file:
            file.write(TypeAdapter(list[CachedChampion]).dump_json(champions, indent=2))
        Path(staged).replace(self.root / CHAMPIONS)
        self.remove_all_but({CHALLENGER_FOLDER, *(each.address for each in champions)})
