"""`docker compose` with this project's file and the passwords of one `.env`."""

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
"""The oldest supported version of compose: earlier ones print `ps --format json` differently."""


@dataclass(frozen=True)
class Compose:
    """One stack: its `.env`, the enabled profiles, and files that override docker-compose.yaml."""

    env: Env
    profiles: Sequence[str] = ()
    overlays: Sequence[Path] = ()

    def command(self, *words: str) -> list[str]:
        """The complete command line of a compose command."""
        files = [PROJECT / "docker-compose.yaml", *self.overlays]
        return [
            *("docker", "compose", "--project-directory", str(PROJECT), "--env-file", str(self.env.path)),
            *(word for file in files for word in ("--file", str(file))),
            *(word for profile in self.profiles for word in ("--profile", profile)),
            *words,
        ]

    def run(self, *words: str) -> None:
        """Run a command and show its output. Raises ServiceUnavailable, with what to read next, if it fails."""
        if subprocess.run(self.command(*words), env=_environment(), check=False).returncode:
            raise ServiceUnavailable(
                f"`docker compose {' '.join(words)}` failed; its output is above. Run `make logs` for the containers'."
            )

    def follow(self, *words: str) -> None:
        """Run a command until Ctrl-C, and show its output."""
        with suppress(KeyboardInterrupt):
            subprocess.run(self.command(*words), env=_environment(), check=False)

    def output(self, *words: str) -> str:
        """The standard output of a command. Raises ServiceUnavailable with its standard error if it fails."""
        done = subprocess.run(self.command(*words), env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceUnavailable(f"`docker compose {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout

    @property
    def name(self) -> str:
        """The compose project."""
        return self.env.values.get("RATCHET_PROJECT", "ratchet")


def check_docker() -> None:
    """Raise ConfigurationError unless a Docker engine responds and a recent compose plugin is installed."""
    _output("docker", "info", "--format", "{{.ServerVersion}}")
    version = _output("docker", "compose", "version", "--short")
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < OLDEST:
        raise ConfigurationError(f"Compose {version} is too old: install its plugin in version 2.21 or newer.")


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError("There is no command `docker`. Install Docker; `make demo` needs none.") from None
    if done.returncode:
        raise ConfigurationError(
            f"`{' '.join(command[:2])}` failed: {done.stderr.strip()} Check that Docker runs, that you may use it, and "
            "that the compose plugin is installed. `make demo` needs none of it."
        )
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """The environment of docker, without the shell's other variables: these would override those of `.env`."""
    return {name: text for name, text in os.environ.items() if name in {"PATH", "HOME"} or name.startswith("DOCKER_")}
