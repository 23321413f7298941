"""`docker compose` on this project's file, with the passwords of one `.env`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from composed.env import Env
from ratchet.errors import ConfigurationError, ServiceUnavailable

PROJECT = Path(__file__).resolve().parents[2]
DEVELOPMENT = PROJECT / "containers" / "development.yaml"


@dataclass(frozen=True)
class Compose:
    """One stack: an `.env`, the profiles that are on, and files that are laid over docker-compose.yaml."""

    env: Env
    profiles: Sequence[str] = ()
    overlays: Sequence[Path] = ()

    def command(self, *words: str) -> list[str]:
        files = [PROJECT / "docker-compose.yaml", *self.overlays]
        return [
            *("docker", "compose", "--project-directory", str(PROJECT), "--env-file", str(self.env.path)),
            *(word for file in files for word in ("--file", str(file))),
            *(word for profile in self.profiles for word in ("--profile", profile)),
            *words,
        ]

    def run(self, *words: str) -> None:
        """Run a command in sight of the user. Raises ServiceUnavailable, with what to look at, if it fails."""
        if subprocess.run(self.command(*words), env=_environment()).returncode:
            raise ServiceUnavailable(
                f"`docker compose {' '.join(words)}` failed; what it said is above. `make logs` shows the containers'."
            )

    def ask(self, *words: str) -> str:
        """What a command prints. Raises ServiceUnavailable with its complaint if it fails."""
        done = subprocess.run(self.command(*words), env=_environment(), capture_output=True, text=True)
        if done.returncode:
            raise ServiceUnavailable(f"`docker compose {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout

    @property
    def name(self) -> str:
        return self.env.values.get("RATCHET_PROJECT", "ratchet")


def check() -> None:
    """Raise ConfigurationError unless an engine answers and the compose plugin is there."""
    for command, remedy in (
        (["docker", "info"], "Is Docker installed and running, and may you use it?"),
        (["docker", "compose", "version"], "Install Docker's compose plugin, version 2.20 or newer."),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
            complaint = done.stderr.strip() if done.returncode else ""
        except FileNotFoundError:
            complaint = "there is no command `docker`"
        if complaint:
            raise ConfigurationError(f"`{' '.join(command)}` failed: {complaint}. {remedy} `make demo` needs neither.")


def _environment() -> dict[str, str]:
    """Only `.env` decides: a variable of the shell would win over it."""
    return {name: text for name, text in os.environ.items() if name in {"PATH", "HOME"} or name.startswith("DOCKER_")}
