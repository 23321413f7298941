"""The manifest of a job: its inputs, outputs and cost. It is written last, so that its existence proves success."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratchet.errors import ConfigurationError, IntegrityError, MissingInput
from ratchet.jobs import keys
from ratchet.jobs.storage import Storage

OLD_FIELD = "room"
"""The name of the field `prefix` in manifests written before 0.1."""


class Output(BaseModel):
    """One file that a job made."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int = Field(description="Size of the file in bytes.")


class Manifest(BaseModel):
    """One finished job. `inputs` maps the prefix of each manifest that it read to the digest of that moment."""

    model_config = ConfigDict(frozen=True)

    job: str
    prefix: str = Field(description="The key under which the outputs lie.")
    parameters: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    outputs: dict[str, Output] = {}
    rows: dict[str, int] = {}
    metrics: dict[str, float] = {}
    details: dict[str, Any] = Field({}, description="The dump of the `details_model` of its job.")
    seconds: float = 0.0
    peak_memory_mib: float = 0.0
    code_version: str = "unknown"
    launch: str = Field("", description="Token of the DAG run and task that launched it; empty without Airflow.")
    dag_run: str = ""
    finished_at: str = Field("", description="Time of the job's end, UTC, ISO 8601.")

    @property
    def digest(self) -> str:
        """SHA-256 over job, parameters and outputs: equal for equal results, whenever and wherever they were made."""
        result = {
            "job": self.job,
            "parameters": self.parameters,
            "outputs": {key: output.sha256 for key, output in self.outputs.items()},
        }
        return hashlib.sha256(json.dumps(result, sort_keys=True, default=str).encode()).hexdigest()

    def output(self, name: str) -> Output:
        """The output `name` (the part of its key behind the prefix). Raises IntegrityError if there is none."""
        try:
            return self.outputs[name]
        except KeyError:
            raise IntegrityError(f"The manifest of {self.job} under {self.prefix} names no output {name!r}.") from None


def find(storage: Storage, prefix: str) -> Manifest | None:
    """The manifest of a prefix, or None where its job has not finished.

    Raises IntegrityError if it was altered, ConfigurationError if code from before the field `prefix` wrote it.
    """
    try:
        content = storage.read(keys.manifest(prefix))
    except MissingInput:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        if OLD_FIELD in _fields(content):
            raise ConfigurationError(
                f"{keys.manifest(prefix)} in {storage.uri} was written by earlier code. Run `ratchet migrate` once."
            ) from error
        raise IntegrityError(
            f"{keys.manifest(prefix)} in {storage.uri} is no manifest. Delete it and run its job again."
        ) from error


def prefixes(storage: Storage) -> list[str]:
    """The prefix of every finished job in the store, sorted."""
    return [key.removesuffix(f"/{keys.MANIFEST}") for key in storage.list("") if keys.is_manifest(key)]


def read(storage: Storage, prefix: str, remedy: str) -> Manifest:
    """The manifest of a prefix. Raises MissingInput, naming the command that makes it."""
    manifest = find(storage, prefix)
    if manifest is None:
        raise MissingInput(f"{prefix} is not in the store {storage.uri}. Run `{remedy}` first.")
    return manifest


def stands(storage: Storage, prefix: str, parameters: dict[str, Any]) -> Manifest | None:
    """The manifest of a prefix if its job need not run again: parameters and digests of inputs are unchanged."""
    manifest = find(storage, prefix)
    if manifest is None or manifest.parameters != parameters:
        return None
    for upstream, digest in manifest.inputs.items():
        current = find(storage, upstream)
        if current is None or current.digest != digest:
            return None
    return manifest


def migrate(storage: Storage) -> int:
    """Rename the field that earlier code called `room`, in every manifest of a store. Returns how many were changed.

    Each manifest is replaced atomically; run again after a kill, it changes those that are left.
    """
    changed = 0
    for key in map(keys.manifest, prefixes(storage)):
        fields = _fields(storage.read(key))
        if OLD_FIELD in fields:
            renamed = {"prefix" if name == OLD_FIELD else name: value for name, value in fields.items()}
            storage.write(key, json.dumps(renamed, indent=2, ensure_ascii=False).encode())
            changed += 1
    return changed


def _fields(content: bytes) -> dict[str, Any]:
    """The fields of a manifest; none if it is no JSON object."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
