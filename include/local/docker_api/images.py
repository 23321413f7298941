"""Images: the names that a task definition may use, and the command that each one runs here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Image:
    """A container runs ``entrypoint`` followed by its command; its environment is ``env`` and its own variables."""

    entrypoint: list[str]
    env: dict[str, str] = field(default_factory=dict)


def tagged(name: str) -> str:
    """The name with its tag; as in Docker, a name without a tag means ``latest``."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def load(text: str) -> dict[str, Image]:
    """Read ``{"trainer:local": {"entrypoint": ["python", "-m", "ratchet"], "env": {"TZ": "UTC"}}}``."""
    return {tagged(name): Image(**image) for name, image in json.loads(text).items()}


def dump(images: Mapping[str, Image]) -> str:
    """Write the text that :func:`load` reads."""
    return json.dumps({name: asdict(image) for name, image in images.items()}, indent=2)
