"""The objects of a release and their keys.

    releases/<sha>/…                the files
    releases/<sha>/manifest.json    the SHA-256 of each; written after them
    current.json                    the name and the commit of the current release; written last

The name of a release, `<sha>`, is the SHA-256 of its manifest, so the same files always have the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from dag_bundle.errors import CorruptRelease, NoRelease

MANIFEST = "manifest.json"
POINTER = "current.json"
DAGS, PLUGINS = "dags", "plugins"
REPAIR = "`make deploy-dags` from the same commit repairs it; the release before stays in use until then."


def sha256(data: bytes) -> str:
    """The SHA-256 of these bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def build_manifest(contents: Mapping[str, bytes]) -> bytes:
    """The manifest of a release, from the bytes of its files by their path."""
    return json.dumps({path: sha256(data) for path, data in contents.items()}, indent=1, sort_keys=True).encode()


def parse_manifest(manifest: bytes, sha: str) -> dict[str, str]:
    """The SHA-256 of each file of release `sha` by its path. Raises CorruptRelease if this is not its manifest."""
    if sha256(manifest) != sha:
        raise CorruptRelease(f"{key(sha)} is not what was released. {REPAIR}")
    files: dict[str, str] = json.loads(manifest)
    return files


def key(sha: str, path: str = MANIFEST) -> str:
    """The key of a file of a release. Raises NoRelease if `sha` cannot be the name of one."""
    if not re.fullmatch("[0-9a-f]{64}", sha):
        raise NoRelease(f"{sha!r} is not the name of a release, which has 64 hexadecimal digits.")
    return f"releases/{sha}/{path}"
