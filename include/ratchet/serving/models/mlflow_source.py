"""Reads model versions and their files from MLflow.

A server is read over plain HTTP: three requests do not need a client of 100 MB that takes a second to import. Where
MLflow is a file on this machine (`ratchet serve` on a folder), MLflow's client reads it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field

from ratchet.errors import ArtifactError, ServiceUnavailable
from ratchet.model.artifact import CARD, MAX_BYTES, WEIGHTS
from ratchet.model.registry_tags import CHALLENGER, DIGEST, FILE, WINDOW
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.promotion.registry import Registry

TIMEOUT = httpx.Timeout(10.0, read=60.0)
"""Timeouts in seconds. The server reads a whole file from its artifact store before it sends the first byte."""


class RegisteredVersion(Protocol):
    """A model version with its digest: after a reset of MLflow, the number alone may name another model."""

    @property
    def version(self) -> int:
        """The number in MLflow."""
        ...

    @property
    def model_digest(self) -> str:
        """SHA-256 over the model's files."""
        ...


class ChallengerInfo(BaseModel):
    """The version that MLflow's alias `challenger` names, and the digests of its files."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(description="The model version.")
    window: str = Field(description="The window of its training.")
    model_digest: str = Field(description="SHA-256 by which the gate's evidence names the model.")
    sha256: dict[str, str] = Field(description="SHA-256 of each file of the model, by its name.")


class RegistryReader(Protocol):
    """Reads MLflow's model registry."""

    def download(self, wanted: RegisteredVersion, folder: Path) -> None:
        """Put a version's files into `folder` and verify them against its tags.

        Raises ArtifactError if they differ or do not exist, ServiceUnavailable if MLflow does not respond.
        """
        ...

    def challenger(self) -> ChallengerInfo | None:
        """The challenger, or None if no version has the alias.

        Raises ArtifactError if its tags lack the digests, ServiceUnavailable if MLflow does not respond.
        """
        ...


def open_registry(settings: Settings) -> RegistryReader:
    """A reader for the kind of MLflow that the tracking URI names, a server or a file."""
    if settings.tracking_uri.get_secret_value().startswith(("http://", "https://")):
        return MlflowServer(settings)
    return MlflowFile(settings)


class MlflowServer:
    """Reads an MLflow server over HTTP. It proxies its artifact store, so no AWS credentials are needed here."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.registered_model
        self.uri = settings.tracking_uri.get_secret_value()

    def download(self, wanted: RegisteredVersion, folder: Path) -> None:
        """See RegistryReader."""
        with self._client() as client:
            tags = self._tags(client, wanted.version)
            _check_digest(tags, wanted)
            version = {"name": self.name, "version": str(wanted.version)}
            for file in (CARD, WEIGHTS):
                path = f"/model-versions/get-artifact?{httpx.QueryParams(version | {'path': f'data/model/{file}'})}"
                with client.stream("GET", path) as response:
                    sha256 = _save(response.raise_for_status(), folder / file)
                if sha256 != tags.get(f"{FILE}{file}"):
                    raise ArtifactError(
                        f"{file} of version {wanted.version} of {self.name} is not what its training wrote. "
                        f"Run `ratchet rollback --from {wanted.version}`, or train the window again."
                    )

    def challenger(self) -> ChallengerInfo | None:
        """See RegistryReader."""
        with self._client() as client:
            response = client.get("/api/2.0/mlflow/registered-models/get", params={"name": self.name})
            if response.is_client_error and response.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST":
                return None  # nothing was registered yet
            model = response.raise_for_status().json()["registered_model"]
            versions = [int(each["version"]) for each in model.get("aliases", []) if each["alias"] == CHALLENGER]
            return _challenger(versions[0], self._tags(client, versions[0])) if versions else None

    def _tags(self, client: httpx.Client, version: int) -> dict[str, str]:
        query = {"name": self.name, "version": str(version)}
        found = client.get("/api/2.0/mlflow/model-versions/get", params=query).raise_for_status().json()
        return {tag["key"]: tag["value"] for tag in found["model_version"].get("tags", [])}

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        with _http_errors(), httpx.Client(base_url=self.uri, timeout=TIMEOUT) as client:
            yield client


class MlflowFile:
    """Reads MLflow through its own client, where tracking URI and artifacts are files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def download(self, wanted: RegisteredVersion, folder: Path) -> None:
        """See RegistryReader."""
        registry = self._registry()
        _check_digest(registry.tags(wanted.version), wanted)
        with registry.artifact(wanted.version) as files:
            for file in (CARD, WEIGHTS):
                shutil.copyfile(files / file, folder / file)

    def challenger(self) -> ChallengerInfo | None:
        """See RegistryReader."""
        registry = self._registry()
        version = registry.aliases().get(CHALLENGER)
        return _challenger(version, registry.tags(version)) if version is not None else None

    def _registry(self) -> Registry:
        from ratchet.promotion.registry import Registry  # imports MLflow, which the serving image does not have

        return Registry(self.settings)


def _challenger(version: int, tags: dict[str, str]) -> ChallengerInfo:
    try:
        sha256 = {file: tags[f"{FILE}{file}"] for file in (CARD, WEIGHTS)}
        return ChallengerInfo(version=version, window=tags[WINDOW], model_digest=tags[DIGEST], sha256=sha256)
    except KeyError as error:
        raise ArtifactError(
            f"Version {version}, the challenger by MLflow's alias, has no tag {error}: it was not registered by "
            "`ratchet evaluate`. Move the alias, or evaluate the window again."
        ) from error


def _check_digest(tags: dict[str, str], wanted: RegisteredVersion) -> None:
    if tags.get(DIGEST) != wanted.model_digest:
        raise ArtifactError(
            f"MLflow's version {wanted.version} is not the model that was judged under this number. Was MLflow's "
            "database replaced? See `ratchet doctor`."
        )


def _save(response: httpx.Response, path: Path) -> str:
    """Write a body to `path` and return its SHA-256. Raises ArtifactError as soon as it exceeds MAX_BYTES."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in response.iter_bytes(1 << 20):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ArtifactError(
                    f"{path.name} has more than {MAX_BYTES} bytes, so it is no model of Ratchet's. See "
                    "`ratchet doctor`."
                )
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


@contextmanager
def _http_errors() -> Iterator[None]:
    """Raise HTTP errors as Ratchet's: 404 is an ArtifactError; all others may pass, so they are ServiceUnavailable."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == httpx.codes.NOT_FOUND:
            raise ArtifactError(f"MLflow has no {error.request.url.path}. See `ratchet doctor`.") from error
        raise ServiceUnavailable(f"MLflow answered {status}. Check RATCHET_TRACKING and MLflow's log.") from error
    except (httpx.HTTPError, httpx.InvalidURL, AttributeError, KeyError, TypeError, ValueError) as error:
        # AttributeError and those after it: the response is no JSON, or not one of MLflow's
        raise ServiceUnavailable(f"MLflow did not answer: {error}. Is it up? See `ratchet doctor`.") from error
