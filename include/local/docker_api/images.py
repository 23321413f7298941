"""Images: the names a task definition may ask for, and what each one runs here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Image:
    """A container's command follows ``entrypoint``; its environment is ``env`` and its own, no more."""

    entrypoint: list[str]
    env: dict[str, str] = field(default_factory=dict)


def tagged(name: str) -> str:
    """Docker's rule: a name without a tag means its ``latest``."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def load(text: str) -> dict[str, Image]:
    """Reads ``{"trainer:local": {"entrypoint": ["python", "-m", "ratchet"], "env": {"TZ": "UTC"}}}``."""
    return {tagged(name): Image(**image) for name, image in json.loads(text).items()}


def dump(images: Mapping[str, Image]) -> str:
    """Writes what :func:`load` reads."""
    return json.dumps({name: asdict(image) for name, image in images.items()}, indent=2)
