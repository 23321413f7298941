"""MLflow: a run per training, a version per model, and aliases that follow the ledger.

Before each write the model's digest is looked up, so a job that was killed and runs again finds what it already made.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import structlog
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ratchet.errors import ArtifactError, ServiceUnavailable
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import sha256_of
from ratchet.jobs.train import TrainDetails
from ratchet.ledger.store import Ledger
from ratchet.model.artifact import CARD, WEIGHTS
from ratchet.model.registry_tags import CHALLENGER, CHAMPION, DIGEST, FILE, PREFIX, PREVIOUS, WINDOW
from ratchet.settings import Settings

log = structlog.get_logger()

OLD_PREFIX = "ratchet.room"
"""The name of the tag on runs and versions written before 0.1."""
CONCURRENT_TRAININGS = 10
"""The number of trainings that may log the same datasets at once."""


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise ArtifactError for what MLflow does not have; ServiceUnavailable, which is retried, for anything else."""
    try:
        yield
    except (MlflowException, OSError) as error:  # of the file store and of requests; both are OSErrors
        if _is_absence(error):
            raise ArtifactError(f"MLflow does not have the requested object: {error}. See `ratchet doctor`.") from error
        raise ServiceUnavailable(f"MLflow did not answer: {error}. Is it up? See `ratchet doctor`.") from error


def _is_absence(error: MlflowException | OSError) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


class Registry:
    """The registered model in MLflow, its versions, and the runs that trained them.

    Every method that calls MLflow raises ServiceUnavailable if it does not answer, and ArtifactError for what it does
    not have.
    """

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # it would interrupt the JSON logs
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the URL may hold a password
        os.environ.pop("MLFLOW_REGISTRY_URI", None)  # versions would be registered elsewhere than their runs are
        uri = settings.tracking_uri.get_secret_value()
        mlflow.set_tracking_uri(uri)
        self.name = settings.registered_model
        self.client = MlflowClient()
        self.experiment = self._experiment(uri)

    @_translated_errors()
    def _experiment(self, uri: str) -> str:
        """The experiment's id. Artifacts go beside a SQLite file; MLflow's default is the working folder."""
        if (file := uri.removeprefix("sqlite:///")) != uri and not self.client.get_experiment_by_name(self.name):
            return self.client.create_experiment(self.name, artifact_location=f"{Path(file).parent}/mlruns")
        return mlflow.set_experiment(self.name).experiment_id

    @_translated_errors()
    def log_training(
        self, *, prefix: str, digest: str, artifact: Path, pictures: Path, parameters: dict[str, Any],
        metrics: dict[str, float], trained_on: dict[str, str], tags: dict[str, str],
    ) -> dict[str, str]:  # fmt: skip
        """Log one finished MLflow run with the model, its metrics, plots and inputs. Returns its `run` and `model_uri`.

        A finished run of the same digest is returned unchanged; one that a killed job left RUNNING is ended as KILLED.
        """
        from ratchet.model import pyfunc  # pandas and mlflow.pyfunc take a second to import, and only training logs

        for run in self._runs(f"tags.`{PREFIX}` = '{prefix}'"):
            if run.info.status == "FINISHED" and run.data.tags.get(DIGEST) == digest:
                return {"run": run.info.run_id, "model_uri": run.data.tags["ratchet.model_uri"]}
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        with mlflow.start_run(experiment_id=self.experiment, run_name=prefix.removeprefix("models/")) as run:
            mlflow.set_tags({PREFIX: prefix, DIGEST: digest, **tags})
            mlflow.log_params(parameters)
            mlflow.log_metrics(metrics)
            mlflow.log_artifacts(str(pictures), "plots")
            self._log_inputs(run.info.run_id, [_dataset(name, sha) for name, sha in trained_on.items()])
            model_uri = pyfunc.log(artifact)
            mlflow.set_tag("ratchet.model_uri", model_uri)
        return {"run": run.info.run_id, "model_uri": model_uri}

    @_translated_errors()
    def register(self, trained: Manifest) -> int:
        """The model version of a training, created unless it exists, with the alias challenger."""
        digest, logged = trained.digest, TrainDetails.of(trained).mlflow
        if self._model() is None:
            self.client.create_registered_model(
                self.name, description="Positive or negative? Champion and challengers."
            )
        found = [version for version in self._versions() if version.tags.get(DIGEST) == digest]
        version = found[0] if found else self.client.create_model_version(
            self.name,
            source=logged.model_uri,
                model_id=logged.model_uri.removeprefix("models:/"),
            run_id=logged.run,
            tags={
                    DIGEST: digest,
                    PREFIX: trained.prefix,
                    WINDOW: trained.parameters["window"],
                    **{f"{FILE}{name}": output.sha256 for name, output in trained.outputs.items()},
                },
        )  # fmt: skip
        self.client.set_registered_model_alias(self.name, CHALLENGER, version.version)
        return int(version.version)

    @contextmanager
    def artifact(self, version: int) -> Iterator[Path]:
        """A folder with the files of a version, verified against their registered digests; removed after the block.

        Raises ArtifactError if the version is unknown, or one of its files is not the one its training published.
        """
        with tempfile.TemporaryDirectory(prefix="ratchet-model-") as folder:
            yield self._download(version, folder)

    @_translated_errors()
    def _download(self, version: int, folder: str) -> Path:
        registered = self.client.get_model_version(self.name, str(version))
        files = Path(mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}/data/model", dst_path=folder))
        for name in (WEIGHTS, CARD):
            if sha256_of(files / name) != registered.tags.get(f"{FILE}{name}"):
                raise ArtifactError(f"{name} of version {version} of {self.name} is not what its training wrote.")
        return files

    @_translated_errors()
    def reconcile(self, ledger: Ledger) -> dict[str, int]:
        """Move the aliases `champion` and `previous` to the ledger's versions; returns those that were moved."""
        champion = ledger.champion().version
        if champion is None:
            return {}
        before = ledger.history().previous_champion
        wanted = {CHAMPION: champion} | ({PREVIOUS: before} if before is not None else {})
        aliases = self.aliases()
        moved = {alias: version for alias, version in wanted.items() if aliases.get(alias) != version}
        for alias, version in moved.items():
            self.client.set_registered_model_alias(self.name, alias, str(version))
        return moved

    @_translated_errors()
    def aliases(self) -> dict[str, int]:
        """The version that each alias names; empty before the first registration."""
        model = self._model()
        return {alias: int(version) for alias, version in model.aliases.items()} if model else {}

    @_translated_errors()
    def tags(self, version: int) -> dict[str, str]:
        """The tags of a version. Raises ArtifactError if it is unknown."""
        return dict(self.client.get_model_version(self.name, str(version)).tags)

    def version_of(self, uri: str) -> int:
        """The version that `models:/name@alias` or `models:/name/version` names. Raises ArtifactError without one."""
        found = re.fullmatch(rf"models:/{re.escape(self.name)}(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))", uri)
        if not found:
            raise ArtifactError(
                f"{uri!r} names no version. Write models:/{self.name}@champion, or models:/{self.name}/VERSION."
            )
        if found["version"]:
            return int(found["version"])
        try:
            return self.aliases()[found["alias"]]
        except KeyError:
            raise ArtifactError(f"{self.name} has no alias {found['alias']!r} yet. Promote a model first.") from None

    @_translated_errors()
    def note(
        self, version: int, tags: dict[str, str], metrics: dict[str, float], artifacts: dict[str, Path] | None = None
    ) -> None:
        """Add tags to the version, and metrics and files (by their folder) to the run that trained it."""
        run = self.client.get_model_version(self.name, str(version)).run_id or ""  # `register` always gives one
        for key, text in tags.items():
            self.client.set_model_version_tag(self.name, str(version), key, text[:4900])
        for key, value in metrics.items():
            self.client.log_metric(run, key, value)
        for folder, path in (artifacts or {}).items():
            log_files = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log_files(run, str(path), folder)

    @_translated_errors()
    def migrate(self) -> int:
        """Rename the tag that earlier code called `ratchet.room`, on runs and versions. Returns how many had it."""
        runs = [run for run in self._runs("") if OLD_PREFIX in run.data.tags]
        for run in runs:
            self.client.set_tag(run.info.run_id, PREFIX, run.data.tags[OLD_PREFIX])
            self.client.delete_tag(run.info.run_id, OLD_PREFIX)
        versions = [version for version in self._versions() if OLD_PREFIX in version.tags]
        for version in versions:
            self.client.set_model_version_tag(self.name, version.version, PREFIX, version.tags[OLD_PREFIX])
            self.client.delete_model_version_tag(self.name, version.version, OLD_PREFIX)
        return len(runs) + len(versions)

    def _log_inputs(self, run: str, datasets: list[DatasetInput]) -> None:
        """Log the batches that a run was trained on, which concurrent trainings have in common.

        MLflow looks for a dataset and then inserts it, so the slower of two trainings violates a UNIQUE constraint.
        The other's rows exist by then, so a retry finds them.
        """
        for attempts_left in reversed(range(CONCURRENT_TRAININGS)):
            try:
                self.client.log_inputs(run, datasets)
                return
            except MlflowException as error:
                if error.error_code != "BAD_REQUEST" or not attempts_left:
                    raise

    def _model(self) -> RegisteredModel | None:
        try:
            return self.client.get_registered_model(self.name)
        except MlflowException as error:
            if _is_absence(error):
                return None
            raise

    def _runs(self, query: str) -> list[mlflow.entities.Run]:
        return list(self.client.search_runs([self.experiment], filter_string=query))

    def _versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{self.name}'", max_results=1000))


def _dataset(name: str, digest: str) -> DatasetInput:
    dataset = Dataset(name=name, digest=digest[:16], source_type="ratchet", source=f'{{"batch": "{name}"}}')
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
