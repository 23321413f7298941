"""Release a project's DAGs: all files, then their manifest, then the pointer, so that half a release is none."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dag_bundle import layout
from dag_bundle.errors import InvalidProject, NotFound
from dag_bundle.layout import DAGS, MANIFEST, PLUGINS, POINTER
from dag_bundle.object_store import Place

ROOMS = {DAGS: f"{DAGS}/", PLUGINS: f"{PLUGINS}/", "include": ""}
"""Where the folders of a project lie in a release. What is in `include/` lies at the top, because the top of a bundle
is what Airflow itself puts on `sys.path` wherever it reads a DAG file: `import ratchet` finds that very release."""
LEFT_OUT = ("dag_bundle", "local")
"""Packages that are not delivered: the one that delivers is installed beside Airflow, the others are for laptops."""
RESERVED = (DAGS, PLUGINS, MANIFEST)
"""What a release keeps at its top for itself."""
IGNORE = ".airflowignore"
ONLY_DAGS = f"/*\n!/{DAGS}\n".encode()
"""Keeps Airflow from looking for DAGs in the packages beside them."""


@dataclass(frozen=True)
class Release:
    """What one call of `release` did: how many files were `uploaded` anew, and whether the pointer `moved`."""

    sha: str
    commit: str
    files: int
    bytes: int
    uploaded: int
    moved: bool


def release(project: Path, place: Place, commit: str) -> Release:
    """Make the project's files the current release; done again, it puts back only what is missing or altered."""
    contents = collect(project)
    manifest = layout.manifest(contents)
    sha = layout.sha256(manifest)
    uploaded = sum(_put(place, layout.key(sha, path), data) for path, data in contents.items())
    _put(place, layout.key(sha), manifest)
    moved = _put(place, POINTER, json.dumps({"release": sha, "commit": commit}).encode())
    return Release(sha, commit, len(contents), sum(map(len, contents.values())), uploaded, moved)


def collect(project: Path) -> dict[str, bytes]:
    """The files of a release by their path in it, each read once. Raises InvalidProject."""
    if not (project / DAGS).is_dir():
        raise InvalidProject(f"{project.resolve()} has no folder {DAGS}/. Name the project with --project.")
    contents = {IGNORE: ONLY_DAGS}
    for room, prefix in ROOMS.items():
        for file in sorted((project / room).rglob("*")):
            path = file.relative_to(project / room)
            if not file.is_file() or _is_made(path) or (room == "include" and path.parts[0] in LEFT_OUT):
                continue
            if room == "include" and path.parts[0] in (*RESERVED, IGNORE):
                raise InvalidProject(f"{file} would lie where a release keeps its {path.parts[0]}: rename it.")
            contents[prefix + path.as_posix()] = file.read_bytes()
    return contents


def commit_of(project: Path) -> str:
    """The commit of the working tree, marked when it has changes; `unknown` outside git."""
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _is_made(path: Path) -> bool:
    """Whether Python, an editor or an installer made this, and nobody wrote it."""
    return path.suffix == ".pyc" or any(
        part == "__pycache__" or part.endswith(".egg-info") or (part.startswith(".") and part != IGNORE)
        for part in path.parts
    )


def _put(place: Place, key: str, data: bytes) -> bool:
    """Put these bytes, unless they are there; whether they were not."""
    try:
        if place.get(key) == data:
            return False
    except NotFound:
        pass
    place.put(key, data)
    return True
