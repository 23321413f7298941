"""Release a project's DAGs: upload all files, then their manifest, then the pointer.

Readers follow the pointer, so an incomplete release is never visible.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dag_bundle import layout
from dag_bundle.errors import InvalidProject, NotFound
from dag_bundle.layout import DAGS, MANIFEST, PLUGINS, POINTER
from dag_bundle.object_store import ObjectStore

FOLDERS = {DAGS: f"{DAGS}/", PLUGINS: f"{PLUGINS}/", "include": ""}
"""The prefix in a release of each folder of a project. The packages of `include/` are at the top of a release, because
Airflow appends the top folder of a bundle to `sys.path` when it reads a DAG file: `import ratchet` then finds the
package of that very release."""
EXCLUDED = ("dag_bundle", "local")
"""Packages that a release does not contain: `dag_bundle` is in Airflow's image, `local` is for development machines."""
RESERVED = (DAGS, PLUGINS, MANIFEST)
"""Names at the top of a release that no package may have."""
IGNORE_FILE = ".airflowignore"
IGNORE_ALL_BUT_DAGS = f"/*\n!/{DAGS}\n".encode()
"""Stops Airflow from searching the packages for DAGs."""


@dataclass(frozen=True)
class Release:
    """The result of `release`.

    `uploaded` counts the files that were missing or different in the store; `pointer_moved` is whether another
    release, or another commit of the same files, was current before.
    """

    sha: str
    commit: str
    files: int
    bytes: int
    uploaded: int
    pointer_moved: bool


def release(project: Path, store: ObjectStore, commit: str) -> Release:
    """Make the project's files the current release. A repeated call uploads only what is missing or altered.

    Raises InvalidProject and StoreUnavailable.
    """
    contents = collect(project)
    manifest = layout.build_manifest(contents)
    sha = layout.sha256(manifest)
    uploaded = sum(_put_if_changed(store, layout.key(sha, path), data) for path, data in contents.items())
    _put_if_changed(store, layout.key(sha), manifest)
    pointer_moved = _put_if_changed(store, POINTER, json.dumps({"release": sha, "commit": commit}).encode())
    return Release(sha, commit, len(contents), sum(map(len, contents.values())), uploaded, pointer_moved)


def collect(project: Path) -> dict[str, bytes]:
    """The bytes of each file of a release by its path in it. Raises InvalidProject."""
    if not (project / DAGS).is_dir():
        raise InvalidProject(f"{project.resolve()} has no folder {DAGS}/. Name the project with --project.")
    contents = {IGNORE_FILE: IGNORE_ALL_BUT_DAGS}
    for folder, prefix in FOLDERS.items():
        for file in sorted((project / folder).rglob("*")):
            path = file.relative_to(project / folder)
            excluded = folder == "include" and path.parts[0] in EXCLUDED
            if not file.is_file() or _is_generated(path) or excluded:
                continue
            if folder == "include" and path.parts[0] in (*RESERVED, IGNORE_FILE):
                raise InvalidProject(f"{file} has a name that a release uses itself, {path.parts[0]}: rename it.")
            contents[prefix + path.as_posix()] = file.read_bytes()
    return contents


def commit_of(project: Path) -> str:
    """The abbreviated commit of the working tree, with `-dirty` if it has changes; `unknown` outside git."""
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _is_generated(path: Path) -> bool:
    """Whether Python, an editor or an installer generated this file; hidden files count as generated."""
    return path.suffix == ".pyc" or any(
        part == "__pycache__" or part.endswith(".egg-info") or (part.startswith(".") and part != IGNORE_FILE)
        for part in path.parts
    )


def _put_if_changed(store: ObjectStore, key: str, data: bytes) -> bool:
    """Write these bytes unless the store has them; returns whether they were written."""
    try:
        if store.get(key) == data:
            return False
    except NotFound:
        pass
    store.put(key, data)
    return True
