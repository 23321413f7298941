"""`docker compose` on this project's file, with the passwords of one `.env`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local.compose.env_file import Env
from ratchet.errors import ConfigurationError, ServiceUnavailable

PROJECT = Path(__file__).resolve().parents[3]
PROFILES = ("serving", "dashboard")
DEVELOPMENT = PROJECT / "containers" / "development.yaml"


OLDEST = [2, 21]
"""Before it, `ps --format json` printed something else."""


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

    def follow(self, *words: str) -> None:
        """Run a command that a person ends with Ctrl-C."""
        with suppress(KeyboardInterrupt):
            subprocess.run(self.command(*words), env=_environment())

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
    _said("docker", "info", "--format", "{{.ServerVersion}}")
    version = _said("docker", "compose", "version", "--short")
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < OLDEST:
        raise ConfigurationError(f"Compose {version} is too old: install its plugin in version 2.21 or newer.")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigurationError("There is no command `docker`. Install Docker; `make demo` needs none.") from None
    if done.returncode:
        raise ConfigurationError(
            f"`{' '.join(command[:2])}` failed: {done.stderr.strip()} Does Docker run, may you use it, and has it the "
            "compose plugin? `make demo` needs none of it."
        )
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """Only `.env` decides: a variable of the shell would win over it."""
    return {name: text for name, text in os.environ.items() if name in {"PATH", "HOME"} or name.startswith("DOCKER_")}
