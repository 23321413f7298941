"""The train job: fit a candidate, publish its artifact, and log one finished MLflow run."""

from __future__ import annotations

from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.train import MlflowRun, TrainDetails
from ratchet.model import plots
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings
from ratchet.training.fit import train
from ratchet.windows import Window


def train_and_log(context: JobContext, job: Job, registry: Registry, settings: Settings) -> None:
    """Train, put the artifact into the store, log the run to MLflow and note its id in the manifest.

    Metrics and plots are of the validation parts, by the fit that has not seen them. Platt's sigmoid was fitted on the
    same parts, so the calibration error here is optimistic. `evaluate` adds the metrics of the test set to the run.
    """
    window = Window.parse(job.parameters["window"])
    found = train(context, window, job.parameters["candidate"])
    plots.draw(found.labels, found.probabilities, context.folder / "plots" / "validation")
    unsealed = Manifest(job=job.name, prefix=job.prefix, parameters=job.parameters, outputs=context.outputs)
    logged = registry.log_training(
        prefix=job.prefix,
        digest=unsealed.digest,
        artifact=context.folder / "model",
        pictures=context.folder / "plots",
        parameters={**job.parameters, "terms": len(found.model.columns)},
        metrics=context.metrics,
        trained_on=found.model.card.trained_on,
        tags={
            "ratchet.window": str(window),
            "ratchet.batches": ",".join(found.model.card.trained_on),
            "ratchet.dag_run": settings.dag_run,
            "ratchet.code_version": settings.code_version,
        },
    )
    context.details = TrainDetails(mlflow=MlflowRun(**logged))
