"""Links from a task in Airflow's UI to its MLflow run, its model version and its ECS task.

Airflow calls `get_link` when a try has ended, with success or not, and stores the URL in XCom. It does not show an
empty URL. The link to the ECS task is most useful while the task runs, so the operator pushes it as soon as it has an
ARN.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.types import RuntimeTaskInstanceProtocol, TaskInstanceKey
from typing_extensions import override

from orchestration.settings import UiSettings
from ratchet.jobs.base import Details
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.evaluate import EvaluateDetails
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.score import ScoreDetails
from ratchet.jobs.train import TrainDetails
from ratchet.settings import Settings


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run of a training."""

    name = "MLflow run"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        found = details(ti_key)
        return run_page(found.mlflow.run if isinstance(found, TrainDetails) else None)


class ModelVersionLink(BaseOperatorLink):
    """The model version that a job evaluated, decided on (`promote`) or scored."""

    name = "Model version"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The version's URL, or "" if the task returned none."""
        found = details(ti_key)
        if isinstance(found, EvaluateDetails | PromoteDetails):
            return version_page(found.version)
        return version_page(found.champion if isinstance(found, ScoreDetails) else None)


class EcsTaskLink(BaseOperatorLink):
    """The ECS task in the AWS console. On an emulator, which has no console, the link is empty."""

    name = "ECS task"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The ECS task's URL, or "" if none was launched."""
        return task_page(XCom.get_value(ti_key=ti_key, key="ecs_task_arn"))

    def push(self, ti: RuntimeTaskInstanceProtocol, arn: str) -> None:
        """Show the link now, while the task runs."""
        ti.xcom_push(self.xcom_key, task_page(arn))


LINKS = (MlflowRunLink(), ModelVersionLink(), EcsTaskLink())


def details(ti_key: TaskInstanceKey) -> Details | None:
    """The details of the manifest that the task returned; None where it has failed, or its job has no details."""
    returned = XCom.get_value(ti_key=ti_key, key=XCom.XCOM_RETURN_KEY)
    if not isinstance(returned, dict) or returned.get("job") not in JOBS:
        return None
    model = JOBS[returned["job"]].details_model
    return model.model_validate(returned.get("details", {})) if model else None


def run_page(run: str | None) -> str:
    """The URL of an MLflow run; this route needs no experiment."""
    return _mlflow("runs", run) if run else ""


def version_page(version: int | None) -> str:
    """The URL of a version of the registered model in MLflow."""
    return _mlflow("models", Settings().registered_model, "versions", str(version)) if version is not None else ""


def task_page(arn: str | None) -> str:
    """The URL of an ECS task in its region's console, from an ARN such as `arn:aws:ecs:eu-west-1:1:task/cluster/id`."""
    if not arn or not UiSettings().aws_console:
        return ""
    _, partition, _, region, _, resource = arn.split(":", 5)
    _, cluster, task = resource.split("/")
    domain = BaseAwsLink.get_aws_domain(partition)
    return (
        f"https://console.{domain}/ecs/v2/clusters/{quote(cluster, safe='')}/tasks/{quote(task, safe='')}"
        f"/configuration?region={quote(region, safe='')}"
    )


def _mlflow(*parts: str) -> str:
    """The URL of a page of MLflow, or "" if there is no server, as with a SQLite file."""
    address = UiSettings().mlflow or _tracking_server()
    return f"{address.rstrip('/')}/#/{'/'.join(quote(part, safe='') for part in parts)}" if address else ""


def _tracking_server() -> str:
    """The tracking server's address without its credentials; "" if tracking is a file or not set."""
    tracking = Settings().tracking
    parts = urlsplit(tracking.get_secret_value() if tracking else "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.scheme in {"http", "https"} else ""
