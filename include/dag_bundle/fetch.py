"""Fetch a release into a folder of its own, complete and verified, or leave no such folder."""

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
from dag_bundle.object_store import ObjectStore

UNFINISHED = ".aside-"
"""Prefix of the names of unfinished files and folders."""


def current_release(store: ObjectStore) -> str:
    """The name of the current release. Raises NoRelease before the first one."""
    try:
        name: str = json.loads(store.get(POINTER))["release"]
    except NotFound:
        raise NoRelease(f"There is no release in {store.uri} yet: run `make deploy-dags`.") from None
    return name


def fetch(store: ObjectStore, cache: Path, sha: str) -> Path:
    """The folder `<cache>/<sha>` with that release. It is downloaded unless it is there and unaltered.

    Safe for concurrent processes and for a kill at any point. Raises NoRelease and CorruptRelease.
    """
    folder = cache / sha
    if is_intact(folder):
        return folder
    with locked(cache):
        if not is_intact(folder):
            staging = Path(tempfile.mkdtemp(dir=cache, prefix=UNFINISHED))
            _download(store, sha, staging)
            staging.chmod(0o755)
            if folder.exists():  # altered since it was fetched
                folder.rename(Path(tempfile.mkdtemp(dir=cache, prefix=UNFINISHED)))
            staging.rename(folder)
    return folder


def is_intact(folder: Path) -> bool:
    """Whether a release's folder has every file of its manifest, unaltered.

    It may not: Airflow's cleanup of old versions, for example, may have been killed half way.
    """
    try:
        files = layout.parse_manifest((folder / MANIFEST).read_bytes(), folder.name)
        return all(layout.sha256((folder / path).read_bytes()) == sha256 for path, sha256 in files.items())
    except (FileNotFoundError, CorruptRelease):
        return False


def switch_current(into: Path, sha: str) -> Path:
    """Point the link `<into>/current` at a fetched release, atomically; returns the link."""
    link = into / "current"
    with locked(into):
        staging = into / f"{UNFINISHED}current"
        staging.symlink_to(sha)
        staging.replace(link)
    return link


def _download(store: ObjectStore, sha: str, folder: Path) -> None:
    try:
        manifest = store.get(layout.key(sha))
    except NotFound:
        raise NoRelease(
            f"Release {sha:.12} is not in {store.uri}: check out its commit and run `make deploy-dags`."
        ) from None
    for path, sha256 in layout.parse_manifest(manifest, sha).items():
        data = _get(store, layout.key(sha, path))
        if layout.sha256(data) != sha256:
            raise CorruptRelease(f"{layout.key(sha, path)} in {store.uri} is not what was released. {REPAIR}")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest)


def _get(store: ObjectStore, key: str) -> bytes:
    try:
        return store.get(key)
    except NotFound as error:
        raise CorruptRelease(f"{error} {REPAIR}") from None


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Exclude other processes, and remove unfinished files that a killed one left behind.

    The kernel releases the lock of a killed process.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in cache.glob(f"{UNFINISHED}*"):
            if unfinished.is_symlink():
                unfinished.unlink()
            else:
                shutil.rmtree(unfinished)
        yield
