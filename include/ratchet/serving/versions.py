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
from typing import Protocol

import httpx

from ratchet.errors import ArtifactError, ServiceUnavailable
from ratchet.model.artifact import CARD, MAX_BYTES, WEIGHTS
from ratchet.serving.promotion import Promotion
from ratchet.settings import Settings

DIGEST, FILE = "ratchet.model_digest", "ratchet.sha256."  # as `ratchet.model.registry` writes them
TIMEOUT = httpx.Timeout(10.0, read=60.0)  # seconds; before the first byte, the server fetches the whole file itself


class Versions(Protocol):
    """Wherever versions come from."""

    def fetch(self, promotion: Promotion, folder: Path) -> None:
        """Put the champion's files into `folder`, once they are what was registered.

        Raises ArtifactError if they are not or there are none, ServiceUnavailable if nobody answers.
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

    def fetch(self, promotion: Promotion, folder: Path) -> None:
        with _answering(), httpx.Client(base_url=self.uri, timeout=TIMEOUT) as client:
            version = {"name": self.name, "version": str(promotion.version)}
            answer = client.get("/api/2.0/mlflow/model-versions/get", params=version).raise_for_status().json()
            tags = {tag["key"]: tag["value"] for tag in answer["model_version"].get("tags", [])}
            if tags.get(DIGEST) != promotion.model_digest:
                raise ArtifactError(
                    f"MLflow's version {promotion.version} of {self.name} is not the model that decision "
                    f"{promotion.decision} promoted. Was MLflow's database replaced? See `ratchet doctor`."
                )
            for file in (CARD, WEIGHTS):
                path = f"/model-versions/get-artifact?{httpx.QueryParams(version | {'path': f'data/model/{file}'})}"
                with client.stream("GET", path) as response:
                    found = _save(response.raise_for_status(), folder / file)
                if found != tags.get(f"{FILE}{file}"):
                    raise ArtifactError(
                        f"{file} of version {promotion.version} of {self.name} is not what its training wrote. "
                        "Run `ratchet rollback`, or train the window again."
                    )


class MlflowFile:
    """Asks MLflow's client, where tracking URI and artifacts are files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def fetch(self, promotion: Promotion, folder: Path) -> None:
        from ratchet.model.registry import Registry  # MLflow's client, which the serving image does without

        with Registry(self.settings).artifact(promotion.version) as files:
            for file in (CARD, WEIGHTS):
                shutil.copyfile(files / file, folder / file)


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
    except (httpx.HTTPError, ValueError) as error:  # a ValueError is an answer that is no JSON
        raise ServiceUnavailable(f"MLflow did not answer: {error}. Is it up? See `ratchet doctor`.") from error
