"""The base of all jobs: options, the search for a standing result, the run, and the manifest written last."""

from __future__ import annotations

import re
import resource
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import structlog
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator

from ratchet.errors import ConfigurationError, IntegrityError
from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.storage import Storage, sha256_of
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.ledger.store import Ledger

log = structlog.get_logger()


class Details(BaseModel):
    """Fields that one kind of job reports beyond rows and metrics. The manifest holds only the fields that were set."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The details in a manifest. Raises IntegrityError if they are those of another kind of job."""
        try:
            return cls.model_validate(manifest.details)
        except ValidationError as error:
            raise IntegrityError(
                f"The manifest of {manifest.job} under {manifest.prefix} does not hold {cls.__name__}. "
                "Delete it and run its job again."
            ) from error


@dataclass
class JobContext:
    """The inputs and outputs of one job so far, which become the manifest, and the services that it may use."""

    storage: Storage
    prefix: str
    folder: Path
    settings: Settings = field(default_factory=Settings)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    details: Details | None = None
    import_seconds: float = 0.0
    """Time spent on importing implementations. It is not part of the job's `seconds`."""

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that the settings name."""
        from ratchet.ledger.store import Ledger

        return Ledger(self.settings.ledger_url, self.settings.registered_model)

    @cached_property
    def registry(self) -> Any:
        """MLflow's registry that the settings name, a `ratchet.promotion.registry.Registry`."""
        return self.load("ratchet.promotion.registry:Registry")(self.settings)

    def load(self, target: str) -> Any:
        """The function or class that `package.module:name` names.

        Jobs name what they run by text, because Airflow imports `ratchet.jobs` and must not import data libraries.
        """
        began = time.perf_counter()
        found = resolve(target)
        self.import_seconds += time.perf_counter() - began
        return found

    def call(self, target: str, *arguments: Any) -> None:
        """Call the function that `package.module:name` names with this context and the arguments."""
        self.load(target)(self, *arguments)

    def read(self, prefix: str, remedy: str) -> Manifest:
        """The manifest of an input, recorded as one. Raises MissingInput, naming the command that makes it."""
        manifest = manifests.read(self.storage, prefix, remedy)
        self.inputs[prefix] = manifest.digest
        return manifest

    def publish(self, path: Path, name: str, key: str | None = None) -> None:
        """Put a finished file into the store as the output `name`, under the prefix unless a key is given.

        The first call deletes an older manifest, because that one describes outputs that are now being replaced.
        """
        if not self.outputs:
            self.storage.delete(keys.manifest(self.prefix))
        self.outputs[name] = Output(sha256=sha256_of(path), size=path.stat().st_size)
        self.storage.upload(path, key or f"{self.prefix}/{name}")


@dataclass(frozen=True)
class FromSetting:
    """Marks an option whose default at the command line is a setting: `Annotated[int, FromSetting("seed_batches")]`."""

    name: str

    def value(self, settings: Settings) -> Any:
        """The setting's value, as the option takes it."""
        found = getattr(settings, self.name)
        return found.get_secret_value() if isinstance(found, SecretStr) else found


class Job(BaseModel, ABC):
    """One command of the CLI with its options: the unit that an ECS task runs.

    A subclass in a file of `ratchet.jobs` is all that a job needs: docs/how-to/add-a-job.md. Its fields are the
    options, its docstring is the command's help. Raises ConfigurationError for options that do not fit the fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ClassVar[str]
    """The command, the task in the DAG and the manifest's `job`: the class's name in lower case, `report_lengths`."""
    order: ClassVar[int]
    """The place among the jobs in the CLI, the report and the costs; in steps of 10."""
    details_model: ClassVar[type[Details] | None] = None
    """The type of `context.details`; None if the job sets no details."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'options'}: {each['msg']}" for each in error.errors()
            )
            raise ConfigurationError(
                f"The options do not fit the job {cls.name} ({problems}). See `ratchet {cls.name} --help`."
            ) from error

    @classmethod
    def from_command_line(cls, options: Mapping[str, Any], settings: Settings) -> Self:
        """The job with these options; one that is None takes its default from the settings or from the class."""
        given = {name: value for name, value in options.items() if value is not None}
        for name in cls.model_fields:
            if (mark := cls.from_setting(name)) and not given.get(name):
                given[name] = mark.value(settings)
        return cls.model_validate(given)

    @classmethod
    def from_setting(cls, option: str) -> FromSetting | None:
        """The setting that is an option's default at the command line, if it has one."""
        marks = [each for each in cls.model_fields[option].metadata if isinstance(each, FromSetting)]
        return marks[0] if marks else None

    @property
    @abstractmethod
    def prefix(self) -> str:
        """The key under which the outputs and the manifest lie; made by `ratchet.jobs.keys`."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that the result depends on besides its inputs. With other parameters, the job runs again."""
        return {}

    @abstractmethod
    def run(self, context: JobContext) -> None:
        """Do the work: read inputs with `context.read`, put outputs into the store with `context.publish`."""

    def result(self, storage: Storage, *, force: bool = False, launch: str = "") -> Manifest | None:
        """The standing result, if any. With `force`, only one that this very launch has made, so that it runs once."""
        manifest = manifests.stands(storage, self.prefix, self.parameters)
        if manifest and force and not (launch and manifest.launch == launch):
            return None
        return manifest

    def execute(self, storage: Storage, settings: Settings, *, force: bool = False) -> Manifest:
        """Run the job unless its result stands, and return the manifest. Killed at any point, it can be run again."""
        standing = self.result(storage, force=force, launch=settings.launch)
        if standing:
            log.info("result stands, nothing to do", job=self.name, prefix=self.prefix, digest=standing.digest[:12])
            return standing
        log.info("job starts", job=self.name, prefix=self.prefix, **self.parameters)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"ratchet-{self.name}-") as folder:
            context = JobContext(storage, self.prefix, Path(folder), settings)
            self.run(context)
        manifest = Manifest(
            job=self.name,
            prefix=self.prefix,
            parameters=self.parameters,
            inputs=context.inputs,
            outputs=context.outputs,
            rows=context.rows,
            metrics=context.metrics,
            details=context.details.model_dump(mode="json", exclude_unset=True) if context.details else {},
            seconds=round(time.perf_counter() - began - context.import_seconds, 3),
            peak_memory_mib=round(peak_memory_mib(), 1),
            code_version=settings.code_version,
            launch=settings.launch,
            dag_run=settings.dag_run,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        storage.write(keys.manifest(self.prefix), manifest.model_dump_json(indent=2).encode())
        log.info("job done", job=self.name, prefix=self.prefix, seconds=manifest.seconds, rows=manifest.rows)
        return manifest


def resolve(target: str) -> Any:
    """Import what `package.module:name` names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def peak_memory_mib() -> float:
    """The peak resident memory of this process and of any child that has ended, in MiB."""
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # getrusage counts bytes there, KiB elsewhere
    processes = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in processes) / unit
