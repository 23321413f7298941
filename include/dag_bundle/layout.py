"""What a release is, and where it lies.

    releases/<sha>/…                the files
    releases/<sha>/manifest.json    the SHA-256 of each; written after them
    current.json                    which release is current, and of which commit; written last

The name of a release, `<sha>`, is the SHA-256 of its manifest, so the same files are the same release.
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
REPAIR = "`make deploy-dags` from the same commit puts it right; the release before stays in use until then."


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(contents: Mapping[str, bytes]) -> bytes:
    """The manifest of a release, from its files' bytes by path."""
    return json.dumps({path: sha256(data) for path, data in contents.items()}, indent=1, sort_keys=True).encode()


def files(manifest: bytes, sha: str) -> dict[str, str]:
    """The SHA-256 of each file of release `sha` by its path. Raises CorruptRelease if this is not its manifest."""
    if sha256(manifest) != sha:
        raise CorruptRelease(f"{key(sha)} is not what was released. {REPAIR}")
    return json.loads(manifest)


def key(sha: str, path: str = MANIFEST) -> str:
    """Where a file of a release lies. Raises NoRelease if `sha` cannot name one."""
    if not re.fullmatch("[0-9a-f]{64}", sha):
        raise NoRelease(f"{sha!r} is not the name of a release, which has 64 hexadecimal digits.")
    return f"releases/{sha}/{path}"
