"""The settings that differ between a laptop and AWS, read once from the environment, at the entry point."""

from __future__ import annotations

import re
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ratchet.errors import ConfigurationError


def installed_version() -> str:
    """The version of the installed package; `unknown` where only its source is on the path, as in Airflow's image."""
    try:
        return metadata.version("ratchet")
    except metadata.PackageNotFoundError:
        return "unknown"


DATABASE_FORM = "postgresql+psycopg://HOST:5432/DATABASE, with USER:PASSWORD@ before HOST, or sqlite:////FOLDER/FILE.db"
"""The forms of a database URL, without a password that the filter of error messages would remove."""


def check_database_url(url: SecretStr) -> SecretStr:
    """Return `url` if it has a form of `DATABASE_FORM`. Raises ValueError, which does not show the URL, if not.

    It is checked without SQLAlchemy, because every job reads the settings, and few of them use a database.
    """
    scheme, _, rest = url.get_secret_value().partition("://")
    if scheme not in {"postgresql+psycopg", "sqlite"}:
        raise ValueError(f"it begins with {scheme[:20]!r}; write {DATABASE_FORM}" if rest else f"write {DATABASE_FORM}")
    host = re.match(r"(\[[^]]*\]|[^:/?]*)(?::([^/?]*))?", rest.rpartition("@")[2])
    port = host[2] if host else None
    if scheme != "sqlite" and port is not None and not (port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError(f"{port!r} is no port; write {DATABASE_FORM}, with %-escapes in the password")
    return url


class Settings(BaseSettings):
    """The environment's `RATCHET_…` variables. With none set, everything lives in the folder `./data`.

    Raises ConfigurationError, which names the variables, for values that are not valid.
    """

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = "; ".join(
                f"RATCHET_{'.'.join(map(str, each['loc'])).upper()}: {each['msg'].removeprefix('Value error, ')}"
                for each in error.errors(include_input=False)
            )
            raise ConfigurationError(f"{problems}. docs/settings.md describes every setting.") from None

    model_config = SettingsConfigDict(env_prefix="RATCHET_", frozen=True, extra="ignore", env_ignore_empty=True)

    store: str = Field("./data", description="Where data and models are stored: a folder, or s3://bucket/prefix.")
    ledger: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the ledger; without one, a SQLite file inside a folder store."
    )
    tracking: SecretStr | None = Field(
        None,
        description="MLflow's tracking URI, maybe with a password; without one, a SQLite file inside a folder store.",
    )
    registered_model: str = Field("review-sentiment", description="Name of the registered model in MLflow.")
    source: SecretStr = Field(
        SecretStr("synthetic:"), description="Where reviews come from: see docs/sources.md. May contain a password."
    )
    seed_batches: int = Field(10, ge=1, le=100, description="Number of weekly batches that the seed is split into.")
    first_week: date = Field(date(2026, 1, 5), description="The Monday on which week 0 begins.")
    cache: Path = Field(Path("~/.cache/ratchet"), description="Where downloads are kept, so that they resume.")
    code_version: str = Field(
        default_factory=installed_version,
        description="The commit the code was built from, or else the installed version; it goes into every manifest.",
    )
    launch: str = Field("", description="Token of the launch (DAG run and task) that this job belongs to.")
    dag_run: str = Field("", description="The DAG run that launched this job, for lineage.")

    @field_validator("ledger")
    @classmethod
    def _check_ledger(cls, url: SecretStr | None) -> SecretStr | None:
        return url and check_database_url(url)

    @property
    def ledger_url(self) -> SecretStr:
        """The ledger's database URL. Raises ConfigurationError if the store is a bucket and none is set."""
        return self.ledger or SecretStr(f"sqlite:///{self._data_folder('RATCHET_LEDGER')}/ledger.db")

    @property
    def tracking_uri(self) -> SecretStr:
        """MLflow's tracking URI. Raises ConfigurationError if the store is a bucket and none is set."""
        return self.tracking or SecretStr(f"sqlite:///{self._data_folder('RATCHET_TRACKING')}/mlflow.db")

    def _data_folder(self, variable: str) -> Path:
        if urlsplit(self.store).scheme not in {"", "file"}:
            raise ConfigurationError(f"The store {self.store} is not a folder, so set {variable} as well.")
        folder = Path(self.store.removeprefix("file://")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
