"""The output folder of a run: locked while in use, and emptied first only if Ratchet wrote what is in it."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ratchet.errors import ConfigurationError

MARK = ".ratchet-output"
"""Name of the file that marks a folder as one that Ratchet may empty. It is created first and never removed."""


@contextmanager
def emptied_folder(root: Path, source: str) -> Iterator[None]:
    """Lock the output folder `root`, and empty it if an earlier run wrote it.

    `source` is the source of the reviews, as `absolute_source` returns it. Raises ConfigurationError, and removes
    nothing, if another run uses `root`, if `root` holds the working directory or the source, or if it has files but
    not the file `MARK`.
    """
    _refuse_if_needed(root, source)
    with locked_folder(root):
        _empty(root)
        yield


def _refuse_if_needed(root: Path, source: str) -> None:
    """Refuse a folder whose loss nobody asked for."""
    reason = None
    if root.exists() and not root.is_dir():
        reason = "it is a file"
    elif Path.cwd().is_relative_to(root):
        reason = "it holds the working directory"
    elif (path := _local_path(source)) is not None and path.is_relative_to(root):
        reason = f"it holds the source {path}"
    if reason:
        raise ConfigurationError(f"{root} cannot be the output folder: {reason}. Give another --output.")


def _local_path(source: str) -> Path | None:
    """The path of a source that lies on this machine, with every symbolic link followed."""
    path = source.partition("#")[0].removeprefix("file://")
    return Path(path).resolve() if path.startswith("/") and len(urlsplit(path).scheme) < 2 else None


def _empty(root: Path) -> None:
    """Remove all but the mark, so that a run that is killed here leaves a folder that the next run may empty."""
    root.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in root.iterdir() if entry.name != MARK]
    if entries and not (root / MARK).is_file():
        raise ConfigurationError(
            f"{root} holds files that Ratchet did not write, for example {min(entries).name}. "
            "Give another --output, or remove that folder if nothing in it is needed."
        )
    (root / MARK).touch()
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextmanager
def locked_folder(root: Path) -> Iterator[None]:
    """Lock the folder `root` against other runs. Raises ConfigurationError if another run uses it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"Another run is using {root}. Wait for it, or give another --output.") from None
        yield
