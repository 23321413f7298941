"""How every job runs: find out whether its result stands; if not, make it, and publish the manifest last."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.storage import Storage, sha256_of
from ratchet.settings import Settings

log = structlog.get_logger()


@dataclass
class JobContext:
    """What one job has read and made so far. It becomes the manifest."""

    storage: Storage
    prefix: str
    folder: Path
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def read(self, prefix: str, remedy: str) -> Manifest:
        """The manifest of an input, noted as such. Raises MissingInput, naming the command that makes it."""
        manifest = manifests.read(self.storage, prefix, remedy)
        self.inputs[prefix] = manifest.digest
        return manifest

    def publish(self, path: Path, name: str, key: str | None = None) -> None:
        """Put a finished file into the store as the output `name`, under the prefix unless a key is given.

        The first one takes an older manifest away: from then on it would speak of outputs that are being replaced.
        """
        if not self.outputs:
            self.storage.delete(keys.manifest(self.prefix))
        self.outputs[name] = Output(sha256=sha256_of(path), size=path.stat().st_size)
        self.storage.upload(path, key or f"{self.prefix}/{name}")


@dataclass(frozen=True)
class Job:
    """One command of the CLI with its arguments: the unit that an ECS task runs.

    `parameters` are all that the result depends on besides its inputs; with the prefix they tell whether it stands.
    """

    name: str
    prefix: str
    parameters: dict[str, Any]

    def result(self, storage: Storage, *, force: bool = False, launch: str = "") -> Manifest | None:
        """The standing result, if any. `force` accepts only what this very launch has made, so it runs once even so."""
        manifest = manifests.stands(storage, self.prefix, self.parameters)
        if manifest and force and not (launch and manifest.launch == launch):
            return None
        return manifest

    def run(
        self, make: Callable[[JobContext], None], storage: Storage, settings: Settings, *, force: bool = False
    ) -> Manifest:
        """Run `make` unless the result stands, and return the manifest. Killed at any point, it can be run again."""
        standing = self.result(storage, force=force, launch=settings.launch)
        if standing:
            log.info("result stands, nothing to do", job=self.name, prefix=self.prefix, digest=standing.digest[:12])
            return standing
        log.info("job starts", job=self.name, prefix=self.prefix, **self.parameters)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"ratchet-{self.name}-") as folder:
            context = JobContext(storage, self.prefix, Path(folder))
            make(context)
        manifest = Manifest(
            job=self.name,
            prefix=self.prefix,
            parameters=self.parameters,
            inputs=context.inputs,
            outputs=context.outputs,
            rows=context.rows,
            metrics=context.metrics,
            details=context.details,
            seconds=round(time.perf_counter() - began, 3),
            peak_memory_mib=round(peak_memory_mib(), 1),
            code_version=settings.code_version,
            launch=settings.launch,
            dag_run=settings.dag_run,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        storage.write(keys.manifest(self.prefix), manifest.model_dump_json(indent=2).encode())
        log.info("job done", job=self.name, prefix=self.prefix, seconds=manifest.seconds, rows=manifest.rows)
        return manifest


def peak_memory_mib() -> float:
    """The most memory this process or one of its children has held, in MiB."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # getrusage counts bytes there, KiB elsewhere
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) / unit
