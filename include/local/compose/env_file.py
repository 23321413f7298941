"""The file `.env`: ports and generated passwords. The first `make up` writes it; git ignores it."""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.processes.children import free_port, is_free
from local.provision import ACCESS_KEY, MLFLOW_CLIENT
from ratchet.errors import ConfigurationError

PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 5000, "AWS_PORT": 4566, "POSTGRES_PORT": 5432, "SERVING_PORT": 8000,
         "DASHBOARD_PORT": 8501}  # fmt: skip
PASSWORDS = ("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "RATCHET_DB_PASSWORD",
             "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_SECRET")  # fmt: skip
HEADING = "# Written by `make up`. Passwords of this machine's stack; keep them out of git."
SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class Env:
    """The variables of a stack, and the file they are in."""

    path: Path
    values: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Env:
        """Read an `.env`. Raises ConfigurationError if there is none, or for a line that is not a setting."""
        if not path.exists():
            raise ConfigurationError(
                f"There is no {path.name} here. Start a stack with `make up`, or change to the folder of its .env."
            )
        values: dict[str, str] = {}
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if line.strip() and not line.startswith("#"):
                name, mark, text = line.partition("=")
                if not mark or (text[:1] in {'"', "'"} and (len(text) < 2 or text[-1] != text[0])):
                    raise ConfigurationError(f"{path.name}, line {number}: write NAME='value'.")
                values[name] = text[1:-1] if text[:1] in {'"', "'"} else text
        return cls(path, values)

    @classmethod
    def update(cls, path: Path, settings: Mapping[str, str]) -> Env:
        """Write `settings` into the `.env`, and generate what is missing; comments and other lines stay.

        Raises ConfigurationError for a quote in a value, because compose and shells would read it differently.
        """
        known = dict(cls.read(path).values) if path.exists() else {}
        values = {**_generated(), **known, **settings}
        if quoted := [name for name, text in values.items() if "'" in text]:
            raise ConfigurationError(
                f"{', '.join(quoted)}: a value in {path.name} cannot contain a quote. Write %27 in a URL."
            )
        lines = path.read_text().splitlines() if path.exists() else [HEADING]
        kept = [line for line in lines if line.startswith("#") or line.partition("=")[0] not in values]
        temporary = path.with_name(f"{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        # In single quotes, which compose, shells and `read` treat alike.
        temporary.write_text("\n".join([*kept, *(f"{name}='{text}'" for name, text in values.items())]) + "\n")
        temporary.rename(path)
        return cls(path, values)

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def urls(self) -> dict[str, str]:
        """The address of each part for a browser on this machine."""
        return {name: f"http://127.0.0.1:{self[f'{name.upper()}_PORT']}" for name in ("airflow", "mlflow", "aws")}

    @property
    def client_environment(self) -> dict[str, str]:
        """The environment in which `ratchet` on this machine uses the stack's store, ledger and MLflow."""
        here = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "RATCHET_", "AWS_"))}
        return here | {
            "AWS_ENDPOINT_URL": self.urls["aws"],
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "RATCHET_STORE": "s3://ratchet",
            "RATCHET_LEDGER": f"postgresql+psycopg://ratchet:{self['RATCHET_DB_PASSWORD']}"
            f"@127.0.0.1:{self['POSTGRES_PORT']}/ratchet",
            "RATCHET_TRACKING": self.urls["mlflow"],
            "RATCHET_SEED_BATCHES": self["SEED_BATCHES"],
            **MLFLOW_CLIENT,
        }

    def summary(self, profiles: Sequence[str]) -> str:
        """The addresses and the login, for the terminal."""
        login = f"login: admin / {self['AIRFLOW_ADMIN_PASSWORD']}"
        addresses = {
            "Airflow": f"{self.urls['airflow']}/dags/review_sentiment   {login}",
            "MLflow": self.urls["mlflow"],
            "AWS": f"{self.urls['aws']}   (an emulator; access key and secret key are `{ACCESS_KEY}`)",
            **{name.capitalize(): f"http://127.0.0.1:{self[f'{name.upper()}_PORT']}" for name in profiles},
        }
        return "\n".join(f"{name + ':':<11}{where}" for name, where in addresses.items()) + "\nNext: make run WEEKS=3"


def _generated() -> dict[str, str]:
    ports = {name: str(port if is_free(port) else free_port()) for name, port in PORTS.items()}
    passwords = {name: secrets.token_urlsafe(24) for name in PASSWORDS}
    key = secrets.token_hex(32)
    return {
        **ports,
        **passwords,
        "AIRFLOW_FERNET_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
        "SERVING_KEY": key,
        "SERVING_KEY_SHA256": hashlib.sha256(key.encode()).hexdigest(),
        "SOURCE": "synthetic:",
        "SEED_BATCHES": "10",
    }


def docker_group(socket: Path = SOCKET) -> str:
    """The group id that may use the Docker engine's socket. Raises ConfigurationError if there is no socket."""
    try:
        return str(socket.stat().st_gid)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no Docker engine at {socket}. Start Docker; without one, `make demo` runs the same weeks."
        ) from None
