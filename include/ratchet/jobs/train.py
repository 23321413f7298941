"""The job `train`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ratchet.candidates import CANDIDATES
from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.jobs.base import Details, Job, JobContext
from ratchet.jobs.options import WindowOption


class MlflowRun(BaseModel):
    """The MLflow run of a training."""

    model_config = ConfigDict(frozen=True)

    run: str = Field(description="The run's id.")
    model_uri: str = Field(description="The logged model: `models:/` and its id.")


class TrainDetails(Details):
    """The MLflow run of a training, and its model."""

    mlflow: MlflowRun


class Train(Job):
    """Fit one candidate on batches 0..k and log it to MLflow."""

    order: ClassVar[int] = 60
    details_model: ClassVar[type[Details]] = TrainDetails

    window: WindowOption
    candidate: str = Field("linear-svc", description=f"The kind of model: {', '.join(CANDIDATES)}.")

    @field_validator("candidate")
    @classmethod
    def _known(cls, candidate: str) -> str:
        if candidate not in CANDIDATES:
            raise ConfigurationError(f"{candidate!r} is no candidate. Choose one of: {', '.join(CANDIDATES)}.")
        return candidate

    @property
    def prefix(self) -> str:
        """`models/<window>/<candidate>`."""
        return keys.model(self.window, self.candidate)

    @property
    def parameters(self) -> dict[str, Any]:
        """The window, and everything that defines the candidate."""
        return {"window": str(self.window), **CANDIDATES[self.candidate].parameters}

    def run(self, context: JobContext) -> None:
        """Fit the candidate and log it."""
        context.call("ratchet.training.tracking:train_and_log", self, context.registry, context.settings)
