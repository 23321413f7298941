"""A training as MLflow sees it: fit, publish the artifact, then one run with everything a reader wants to know."""

from __future__ import annotations

from ratchet.jobs.base import Job, JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.model import plots
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings
from ratchet.training.fit import train
from ratchet.windows import Window


def train_and_log(context: JobContext, job: Job, registry: Registry, settings: Settings) -> None:
    """The train job: the artifact goes into the store, the run into MLflow, its id into the manifest.

    Figures and plots here are of the validation parts, as a fit without them sees them; Platt's sigmoid was fitted on
    the same, so calibration looks its best. `evaluate` adds those of the test set to the same run.
    """
    window = Window.parse(job.parameters["window"])
    found = train(context, window, job.parameters["candidate"])
    plots.draw(found.labels, found.probabilities, context.folder / "plots" / "validation")
    unsealed = Manifest(job=job.name, prefix=job.prefix, parameters=job.parameters, outputs=context.outputs)
    context.details["mlflow"] = registry.log_training(
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
