"""MLflow: a run per training, a version per model, and aliases that follow the ledger.

Every write is looked up first by the model's digest, so a job that was killed and runs again finds what it had made.
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
from ratchet.ledger.store import Ledger
from ratchet.model.artifact import CARD, WEIGHTS
from ratchet.model.registry_tags import CHALLENGER, CHAMPION, DIGEST, FILE, PREFIX, PREVIOUS, WINDOW
from ratchet.settings import Settings

log = structlog.get_logger()

SIDE_BY_SIDE = 10  # trainings that may log the same datasets at once


@contextmanager
def _answering() -> Iterator[None]:
    """MLflow's errors as ours: what it does not hold is an ArtifactError, anything else is worth another try."""
    try:
        yield
    except (MlflowException, OSError) as error:  # of the file store and of requests; both are OSErrors
        if _is_absence(error):
            raise ArtifactError(f"MLflow does not hold what was asked for: {error}. See `ratchet doctor`.") from error
        raise ServiceUnavailable(f"MLflow did not answer: {error}. Is it up? See `ratchet doctor`.") from error


def _is_absence(error: MlflowException | OSError) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


class Registry:
    """The registered model, its versions, and the runs that trained them."""

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # it would break up the JSON logs
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the URL may hold a password
        uri = settings.tracking_uri.get_secret_value()
        mlflow.set_tracking_uri(uri)
        self.name = settings.registered_model
        self.client = MlflowClient()
        self.experiment = self._experiment(uri)

    @_answering()
    def _experiment(self, uri: str) -> str:
        """The experiment's id. Artifacts lie beside a SQLite file; MLflow would take the working folder."""
        if (file := uri.removeprefix("sqlite:///")) != uri and not self.client.get_experiment_by_name(self.name):
            return self.client.create_experiment(self.name, artifact_location=f"{Path(file).parent}/mlruns")
        return mlflow.set_experiment(self.name).experiment_id

    @_answering()
    def log_training(
        self, *, prefix: str, digest: str, artifact: Path, pictures: Path, parameters: dict[str, Any],
        metrics: dict[str, float], trained_on: dict[str, str], tags: dict[str, str],
    ) -> dict[str, str]:  # fmt: skip
        """One finished MLflow run with the model, its figures, plots and inputs. Returns its `run` and `model_uri`.

        A finished run of the same digest is returned as it is; one that a killed job left RUNNING is closed as KILLED.
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

    @_answering()
    def register(self, trained: Manifest) -> int:
        """The model version of a training, made unless it exists, and named challenger."""
        digest, run = trained.digest, trained.details["mlflow"]["run"]
        if self._model() is None:
            self.client.create_registered_model(
                self.name, description="Positive or negative? Champion and challengers."
            )
        found = [version for version in self._versions() if version.tags.get(DIGEST) == digest]
        version = found[0] if found else self.client.create_model_version(
            self.name,
            source=trained.details["mlflow"]["model_uri"],
                model_id=trained.details["mlflow"]["model_uri"].removeprefix("models:/"),
            run_id=run,
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
        """The files of a version, downloaded for as long as the block runs, once they are what was registered.

        Raises ArtifactError when the version is unknown, or a file of it is not the one its training published.
        """
        with tempfile.TemporaryDirectory(prefix="ratchet-model-") as folder:
            yield self._download(version, folder)

    @_answering()
    def _download(self, version: int, folder: str) -> Path:
        registered = self.client.get_model_version(self.name, str(version))
        files = Path(mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}/data/model", dst_path=folder))
        for name in (WEIGHTS, CARD):
            if sha256_of(files / name) != registered.tags.get(f"{FILE}{name}"):
                raise ArtifactError(f"{name} of version {version} of {self.name} is not what its training wrote.")
        return files

    @_answering()
    def reconcile(self, ledger: Ledger) -> dict[str, int]:
        """Make the aliases `champion` and `previous` say what the ledger says; returns those that were moved."""
        champion = ledger.champion().version
        if champion is None:
            return {}
        before = previous_champion(ledger)
        wanted = {CHAMPION: champion} | ({PREVIOUS: before} if before is not None else {})
        aliases = self.aliases()
        moved = {alias: version for alias, version in wanted.items() if aliases.get(alias) != version}
        for alias, version in moved.items():
            self.client.set_registered_model_alias(self.name, alias, str(version))
        return moved

    @_answering()
    def aliases(self) -> dict[str, int]:
        """Which version each alias names; empty before the first registration."""
        model = self._model()
        return {alias: int(version) for alias, version in model.aliases.items()} if model else {}

    @_answering()
    def tags(self, version: int) -> dict[str, str]:
        """What is written on a version. Raises ArtifactError for one that is unknown."""
        return dict(self.client.get_model_version(self.name, str(version)).tags)

    def version_of(self, uri: str) -> int:
        """The version that `models:/name@alias` or `models:/name/version` names. Raises ArtifactError without one."""
        found = re.fullmatch(rf"models:/{re.escape(self.name)}(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))", uri)
        if not found:
            raise ArtifactError(f"{uri!r} is no model here. Write models:/{self.name}@champion, or /VERSION.")
        if found["version"]:
            return int(found["version"])
        try:
            return self.aliases()[found["alias"]]
        except KeyError:
            raise ArtifactError(f"{self.name} has no alias {found['alias']!r} yet. Promote a model first.") from None

    @_answering()
    def note(
        self, version: int, tags: dict[str, str], metrics: dict[str, float], artifacts: dict[str, Path] | None = None
    ) -> None:
        """Add findings: tags to the version, figures and files (by their folder) to the run that trained it."""
        run = self.client.get_model_version(self.name, str(version)).run_id
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(version), key, value[:4900])
        for key, value in metrics.items():
            self.client.log_metric(run, key, value)
        for folder, path in (artifacts or {}).items():
            log_files = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log_files(run, str(path), folder)

    def _log_inputs(self, run: str, datasets: list[DatasetInput]) -> None:
        """Name the batches a run learned from, which trainings side by side have in common.

        MLflow looks for a dataset and then inserts it, so that the slower of two breaks a UNIQUE constraint. By then
        the other's rows are there to be found: everyone who loses knows more the next time.
        """
        for more_may_race in reversed(range(SIDE_BY_SIDE)):
            try:
                return self.client.log_inputs(run, datasets)
            except MlflowException as error:
                if error.error_code != "BAD_REQUEST" or not more_may_race:
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


def previous_champion(ledger: Ledger) -> int | None:
    """The version that was champion before the present one, by the ledger."""
    current, before = None, None
    for decision in ledger.history():
        if decision.action != "keep":
            current, before = decision.version, current
    return before


def _dataset(name: str, digest: str) -> DatasetInput:
    dataset = Dataset(name=name, digest=digest[:16], source_type="ratchet", source=f'{{"batch": "{name}"}}')
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
