"""The file `.env`: ports, and passwords that nobody chose. Made once by the first `make up`, and never shown to git."""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.processes.children import free_port, is_free
from local.provision import MLFLOW_CLIENT
from ratchet.errors import ConfigurationError

PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 5000, "AWS_PORT": 4566, "POSTGRES_PORT": 5432, "SERVING_PORT": 8000,
         "DASHBOARD_PORT": 8501}  # fmt: skip
PASSWORDS = ("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "RATCHET_DB_PASSWORD",
             "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_SECRET")  # fmt: skip
HEADING = "# Made by `make up`. Passwords of this machine's stack; keep them out of git."
SOCKET = Path("/var/run/docker.sock")


@dataclass(frozen=True)
class Env:
    """What the stack was started with."""

    path: Path
    values: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Env:
        """The values of an `.env`. Raises ConfigurationError if there is none, or for a line that is no setting."""
        if not path.exists():
            raise ConfigurationError(
                f"There is no {path.name} here. Start a stack with `make up`, or go to where you started it."
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
    def made(cls, path: Path, facts: Mapping[str, str]) -> Env:
        """The values of `path`, made where they are missing, with `facts` put in; comments and other lines stay.

        Raises ConfigurationError for a quote in a value: compose and shells would read it differently.
        """
        known = dict(cls.read(path).values) if path.exists() else {}
        values = _generated() | known | facts
        if odd := [name for name, text in values.items() if "'" in text]:
            raise ConfigurationError(
                f"{', '.join(odd)}: a value in {path.name} cannot hold a quote. Write %27 in a URL."
            )
        lines = path.read_text().splitlines() if path.exists() else [HEADING]
        kept = [line for line in lines if line.startswith("#") or line.partition("=")[0] not in values]
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)
        aside.touch(mode=0o600)
        # In single quotes: compose, shells and we read the same.
        aside.write_text("\n".join([*kept, *(f"{name}='{text}'" for name, text in values.items())]) + "\n")
        aside.rename(path)
        return cls(path, values)

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    @property
    def urls(self) -> dict[str, str]:
        """Where a browser of this machine finds each part."""
        return {name: f"http://127.0.0.1:{self[f'{name.upper()}_PORT']}" for name in ("airflow", "mlflow", "aws")}

    @property
    def around(self) -> dict[str, str]:
        """An environment in which `ratchet` on this machine sees the stack's store, ledger and MLflow."""
        here = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "RATCHET_", "AWS_"))}
        return here | {
            "AWS_ENDPOINT_URL": self.urls["aws"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "RATCHET_STORE": "s3://ratchet",
            "RATCHET_LEDGER": f"postgresql+psycopg://ratchet:{self['RATCHET_DB_PASSWORD']}"
            f"@127.0.0.1:{self['POSTGRES_PORT']}/ratchet",
            "RATCHET_TRACKING": self.urls["mlflow"],
            "RATCHET_SEED_BATCHES": self["SEED_BATCHES"],
            **MLFLOW_CLIENT,
        }

    def welcome(self, profiles: Sequence[str]) -> str:
        """Where everything is, and how to log in."""
        login = f"login: admin / {self['AIRFLOW_ADMIN_PASSWORD']}"
        places = {
            "Airflow": f"{self.urls['airflow']}/dags/review_sentiment   {login}",
            "MLflow": self.urls["mlflow"],
            "AWS": f"{self.urls['aws']}   (the stand-in; its keys are `local`)",
            **{name.capitalize(): f"http://127.0.0.1:{self[f'{name.upper()}_PORT']}" for name in profiles},
        }
        return "\n".join(f"{name + ':':<11}{where}" for name, where in places.items()) + "\nNext: make run WEEKS=3"


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


def engine_group(socket: Path = SOCKET) -> str:
    """The group that may speak to the Docker engine. Raises ConfigurationError without its socket."""
    try:
        return str(socket.stat().st_gid)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no Docker engine at {socket}. Start Docker; without one, `make demo` runs the same weeks."
        ) from None
