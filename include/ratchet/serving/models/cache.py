"""Verified models on this machine's disk, so that the API starts and rolls back without MLflow and Postgres.

    <SHA-256 of model.json>/model.json, model.safetensors
    challenger/              the same for the challenger, where one takes part
    champions.json           who served last and before, newest first, each with the address of its files

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

KEPT = 2  # the champion, and the one before it for a rollback while MLflow is away
CHAMPIONS = "champions.json"
ASIDE = ".aside-"
APART = "challenger"  # the challenger's folder is not the champions' to clean


class Kept(BaseModel):
    """A champion whose files are in the cache."""

    model_config = ConfigDict(frozen=True)

    registered_model: str
    promotion: Promotion
    sha256: dict[str, str] = Field(description="Of each file, by its name.")

    @property
    def address(self) -> str:
        return self.sha256[CARD]


class Files:
    """A folder of models, each at its address. One process has it alone."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()

    def load(self, address: str) -> Model:
        """The model, verified. Raises ArtifactError if a byte of it changed or a file is missing."""
        folder = self.root / address
        model = artifact.load(folder)
        if sha256_of(folder / CARD) != address:
            raise ArtifactError(f"{folder / CARD} was altered. Delete {folder}; it is downloaded again.")
        return model

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """An empty folder on the cache's own disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=ASIDE, ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "model"
            path.mkdir()
            yield path

    def add(self, folder: Path) -> dict[str, str]:
        """Move a model's files to their address; SHA-256 by name. They are read back and verified, so not flushed."""
        sha256 = {file: sha256_of(folder / file) for file in (CARD, WEIGHTS)}
        shutil.rmtree(self.root / sha256[CARD], ignore_errors=True)
        folder.replace(self.root / sha256[CARD])
        return sha256

    def forget_all_but(self, names: Set[str]) -> None:
        """Delete every other folder, and what was left aside by a kill or a full disk."""
        if self.root.is_dir():
            for path in self.root.iterdir():
                if path.is_dir() and path.name not in names:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name.startswith(ASIDE):
                    path.unlink(missing_ok=True)


class Cache(Files):
    """The champions that served, and the files of the last few."""

    def __init__(self, root: Path, registered_model: str) -> None:
        super().__init__(root)
        self.registered_model = registered_model

    def champions(self) -> list[Kept]:
        """Who served, newest first; none of it is verified yet. An unreadable list counts as an empty one."""
        try:
            found = TypeAdapter(list[Kept]).validate_json((self.root / CHAMPIONS).read_bytes())
        except (OSError, ValidationError):
            return []
        return [kept for kept in found if kept.registered_model == self.registered_model]

    def find(self, promotion: Promotion) -> Kept | None:
        """The files of the very model that was promoted; a version's number alone says little after a reset."""
        for kept in self.champions():
            known = kept.promotion
            if (known.version, known.model_digest) == (promotion.version, promotion.model_digest):
                return kept.model_copy(update={"promotion": promotion})
        return None

    def take(self, folder: Path, promotion: Promotion) -> Kept:
        """Move a champion's files to their address."""
        return Kept(registered_model=self.registered_model, promotion=promotion, sha256=self.add(folder))

    def remember(self, kept: Kept) -> None:
        """Name the champion that serves now, and forget the files of all but it and the one before."""
        others = [each for each in self.champions() if each.address != kept.address]
        champions = [kept, *others][:KEPT]
        handle, aside = tempfile.mkstemp(dir=self.root, prefix=ASIDE)
        with os.fdopen(handle, "wb") as file:
            file.write(TypeAdapter(list[Kept]).dump_json(champions, indent=2))
        Path(aside).replace(self.root / CHAMPIONS)
        self.forget_all_but({APART, *(each.address for each in champions)})
