"""The job `ingest`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.base import Details, FromSetting, Job, JobContext
from ratchet.jobs.options import Delivery

Order = Literal["archive", "shuffled"]
"""The order of a delivery's rows: `archive` keeps the order of the files, so that weeks are contiguous."""


class SourceFile(BaseModel):
    """One file of a delivery in the store: its name under the prefix, and how its rows are written."""

    model_config = ConfigDict(frozen=True)

    name: str
    form: str = Field(description="`csv` or `fasttext`.")


class IngestDetails(Details):
    """The files of a delivery and the order of its rows."""

    order: Order
    files: dict[str, SourceFile] = Field(description="By role: `train`, and `test` if the source has a test file.")
    source_sha256: dict[str, str] = Field({}, description="SHA-256 of each original file, by its name.")


class Ingest(Job):
    """Copy the source's files into the store unchanged, and verify them."""

    order: ClassVar[int] = 10
    details_model: ClassVar[type[Details]] = IngestDetails

    source: Annotated[str, FromSetting("source")] = Field(
        description="Where reviews come from; docs/sources.md lists all forms."
    )
    delivery: Delivery = keys.SEED

    @field_validator("source")
    @classmethod
    def _no_database(cls, source: str) -> str:
        """Refuse a SQL source here, because a job writes its parameters, with the password, to log and manifest."""
        if source.startswith("postgresql"):
            raise ConfigurationError("A SQL table is extracted by Airflow's Postgres hook: run it through the DAG.")
        return source

    @property
    def prefix(self) -> str:
        """`raw/<delivery>`."""
        return keys.raw(self.delivery)

    @property
    def parameters(self) -> dict[str, Any]:
        """The source alone: another cache gives the same files."""
        return {"source": self.source}

    def run(self, context: JobContext) -> None:
        """Copy and verify the files."""
        cache = context.settings.cache.expanduser()
        context.call("ratchet.sources.ingest:ingest", self.source, self.delivery, cache)
