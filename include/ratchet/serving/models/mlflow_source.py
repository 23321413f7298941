"""The files of a model version, from MLflow.

A server is asked over plain HTTP: three requests do not need a client of 100 MB that takes a second to import. Where
MLflow is a file on this machine (`ratchet serve` on a folder), its client reads it.
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
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.promotion.registry import Registry

DIGEST, FILE, WINDOW = (
    "ratchet.model_digest",
    "ratchet.sha256.",
    "window",
)  # as `ratchet.promotion.registry` writes them
CHALLENGER = "challenger"
TIMEOUT = httpx.Timeout(10.0, read=60.0)  # seconds; before the first byte, the server fetches the whole file itself


class Wanted(Protocol):
    """Which model: a version's number alone says little after a reset."""

    @property
    def version(self) -> int: ...
    @property
    def model_digest(self) -> str: ...


class ChallengerInfo(BaseModel):
    """Whom MLflow's alias `challenger` names, and on which bytes."""

    model_config = ConfigDict(frozen=True)

    version: int
    window: str
    model_digest: str
    sha256: dict[str, str] = Field(description="Of each file of the model, by its name.")


class Versions(Protocol):
    """Wherever versions come from."""

    def fetch(self, wanted: Wanted, folder: Path) -> None:
        """Put a version's files into `folder`, once they are what was registered.

        Raises ArtifactError if they are not or there are none, ServiceUnavailable if nobody answers.
        """
        ...

    def nominee(self) -> ChallengerInfo | None:
        """The challenger, or None if nobody is.

        Raises ArtifactError if its tags do not say which bytes it is, ServiceUnavailable if nobody answers.
        """
        ...


def versions(settings: Settings) -> Versions:
    """The way to MLflow that the tracking URI asks for."""
    if settings.tracking_uri.get_secret_value().startswith(("http://", "https://")):
        return MlflowServer(settings)
    return MlflowFile(settings)


class MlflowServer:
    """Asks an MLflow server over HTTP; it reads its artifact store itself, so no AWS credentials are needed here."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.registered_model
        self.uri = settings.tracking_uri.get_secret_value()

    def fetch(self, wanted: Wanted, folder: Path) -> None:
        with self._client() as client:
            tags = self._tags(client, wanted.version)
            _check_digest(tags, wanted)
            version = {"name": self.name, "version": str(wanted.version)}
            for file in (CARD, WEIGHTS):
                path = f"/model-versions/get-artifact?{httpx.QueryParams(version | {'path': f'data/model/{file}'})}"
                with client.stream("GET", path) as response:
                    found = _save(response.raise_for_status(), folder / file)
                if found != tags.get(f"{FILE}{file}"):
                    raise ArtifactError(
                        f"{file} of version {wanted.version} of {self.name} is not what its training wrote. "
                        "Run `ratchet rollback`, or train the window again."
                    )

    def nominee(self) -> ChallengerInfo | None:
        with self._client() as client:
            answer = client.get("/api/2.0/mlflow/registered-models/get", params={"name": self.name})
            if answer.is_client_error and answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST":
                return None  # nothing was registered yet
            model = answer.raise_for_status().json()["registered_model"]
            named = [int(each["version"]) for each in model.get("aliases", []) if each["alias"] == CHALLENGER]
            return _nominee(named[0], self._tags(client, named[0])) if named else None

    def _tags(self, client: httpx.Client, version: int) -> dict[str, str]:
        asked = {"name": self.name, "version": str(version)}
        answer = client.get("/api/2.0/mlflow/model-versions/get", params=asked).raise_for_status().json()
        return {tag["key"]: tag["value"] for tag in answer["model_version"].get("tags", [])}

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        with _answering(), httpx.Client(base_url=self.uri, timeout=TIMEOUT) as client:
            yield client


class MlflowFile:
    """Asks MLflow's client, where tracking URI and artifacts are files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def fetch(self, wanted: Wanted, folder: Path) -> None:
        registry = self._registry()
        _check_digest(registry.tags(wanted.version), wanted)
        with registry.artifact(wanted.version) as files:
            for file in (CARD, WEIGHTS):
                shutil.copyfile(files / file, folder / file)

    def nominee(self) -> ChallengerInfo | None:
        registry = self._registry()
        version = registry.aliases().get(CHALLENGER)
        return _nominee(version, registry.tags(version)) if version is not None else None

    def _registry(self) -> Registry:
        from ratchet.promotion.registry import Registry  # MLflow's client, which the serving image does without

        return Registry(self.settings)


def _nominee(version: int, tags: dict[str, str]) -> ChallengerInfo:
    try:
        sha256 = {file: tags[f"{FILE}{file}"] for file in (CARD, WEIGHTS)}
        return ChallengerInfo(version=version, window=tags[WINDOW], model_digest=tags[DIGEST], sha256=sha256)
    except KeyError as error:
        raise ArtifactError(
            f"Version {version}, the challenger by MLflow's alias, has no tag {error}: it was not registered by "
            "`ratchet evaluate`. Move the alias, or evaluate the window again."
        ) from error


def _check_digest(tags: dict[str, str], wanted: Wanted) -> None:
    if tags.get(DIGEST) != wanted.model_digest:
        raise ArtifactError(
            f"MLflow's version {wanted.version} is not the model that was judged under this number. Was MLflow's "
            "database replaced? See `ratchet doctor`."
        )


def _save(response: httpx.Response, path: Path) -> str:
    """Write a body to `path` and return its SHA-256. Raises ArtifactError as soon as it is too long."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in response.iter_bytes(1 << 20):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ArtifactError(f"{path.name} has more than {MAX_BYTES} bytes: it is no model of Ratchet's.")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


@contextmanager
def _answering() -> Iterator[None]:
    """Errors of HTTP as ours: what MLflow does not hold is an ArtifactError, anything else is worth another try."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == httpx.codes.NOT_FOUND:
            raise ArtifactError(f"MLflow does not hold {error.request.url.path}. See `ratchet doctor`.") from error
        raise ServiceUnavailable(f"MLflow answered {status}. Check RATCHET_TRACKING and MLflow's log.") from error
    except (httpx.HTTPError, httpx.InvalidURL, AttributeError, KeyError, TypeError, ValueError) as error:
        # these by an answer that is not MLflow's, or no JSON at all
        raise ServiceUnavailable(f"MLflow did not answer: {error}. Is it up? See `ratchet doctor`.") from error
