"""Fetch a release into a folder of its own: whole and verified, or not at all."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dag_bundle import layout
from dag_bundle.errors import CorruptRelease, NoRelease, NotFound
from dag_bundle.layout import MANIFEST, POINTER, REPAIR
from dag_bundle.object_store import Place

ASIDE = ".aside-"


def current(place: Place) -> str:
    """The name of the current release. Raises NoRelease before the first one."""
    try:
        return json.loads(place.get(POINTER))["release"]
    except NotFound:
        raise NoRelease(f"There is no release in {place.uri} yet: run `make deploy-dags`.") from None


def fetch(place: Place, cache: Path, sha: str) -> Path:
    """The folder `<cache>/<sha>` with that release; fetched unless it is there and unaltered.

    Any number of processes may call it at once, and die at any point. Raises NoRelease and CorruptRelease.
    """
    folder = cache / sha
    if is_whole(folder):
        return folder
    with exclusive(cache):
        if not is_whole(folder):
            aside = Path(tempfile.mkdtemp(dir=cache, prefix=ASIDE))
            _download(place, sha, aside)
            aside.chmod(0o755)
            if folder.exists():  # altered since it was fetched
                folder.rename(Path(tempfile.mkdtemp(dir=cache, prefix=ASIDE)))
            aside.rename(folder)
    return folder


def is_whole(folder: Path) -> bool:
    """Whether a release's folder holds what its name promises. Airflow's cleanup, say, may have died half way."""
    try:
        files = layout.files((folder / MANIFEST).read_bytes(), folder.name)
        return all(layout.sha256((folder / path).read_bytes()) == sha256 for path, sha256 in files.items())
    except (FileNotFoundError, CorruptRelease):
        return False


def switch(into: Path, sha: str) -> Path:
    """Point the link `<into>/current` at a fetched release; it always leads to the old one or to the new one."""
    link = into / "current"
    with exclusive(into):
        aside = into / f"{ASIDE}current"
        aside.symlink_to(sha)
        aside.replace(link)
    return link


def _download(place: Place, sha: str, folder: Path) -> None:
    try:
        manifest = place.get(layout.key(sha))
    except NotFound:
        raise NoRelease(f"Release {sha:.12} is not in {place.uri}: check out its commit, `make deploy-dags`.") from None
    for path, sha256 in layout.files(manifest, sha).items():
        data = _get(place, layout.key(sha, path))
        if layout.sha256(data) != sha256:
            raise CorruptRelease(f"{layout.key(sha, path)} in {place.uri} is not what was released. {REPAIR}")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest)


def _get(place: Place, key: str) -> bytes:
    try:
        return place.get(key)
    except NotFound as error:
        raise CorruptRelease(f"{error} {REPAIR}") from None


@contextmanager
def exclusive(cache: Path) -> Iterator[None]:
    """One process at a time. The kernel frees the lock of a killed one, and what that left aside is swept away."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f"{ASIDE}*"):
            if left.is_symlink():
                left.unlink()
            else:
                shutil.rmtree(left)
        yield
