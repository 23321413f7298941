"""Tasks that return what jobs return, and end as jobs end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from orchestration.links import LINKS, EcsTaskLink

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/ratchet/0a1b2c"
seen: list[dict[str, str]] = []


def read_links(task: str, run: str) -> dict[str, str]:
    """The links of a running task; the process around this DAG puts its own function here."""
    raise NotImplementedError


class DetailsOperator(BaseOperator):
    """Returns the given details as RatchetJobOperator does; without any it fails."""

    operator_extra_links = LINKS

    def __init__(self, *, details: dict[str, Any] | None, job: str = "", arn: str = ARN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.details, self.job, self.arn = details, job or self.task_id.partition("_")[0], arn

    def execute(self, context: Context) -> dict[str, Any]:
        ti = context["ti"]
        ti.xcom_push(key="ecs_task_arn", value=self.arn)
        if self.details is None:
            EcsTaskLink().push(ti, self.arn)
            seen.append(read_links(ti.task_id, ti.run_id))
            raise AirflowFailException("without details, as the test wants")
        return {"job": self.job, "details": self.details}


with DAG("linked", schedule=None, start_date=datetime(2026, 1, 5)):
    DetailsOperator(task_id="train", details={"mlflow": {"run": "5f0e", "model_uri": "models:/m-1"}})
    DetailsOperator(task_id="evaluate", details={"version": 7, "champion": 6})
    DetailsOperator(task_id="evaluate_broken", details={"version": None, "champion": 6})
    DetailsOperator(task_id="score", details={"champion": 6})
    DetailsOperator(task_id="ingest", details={})
    DetailsOperator(task_id="odd_arn", details={}, arn="no such thing")
    DetailsOperator(task_id="failed", details=None)
    DetailsOperator.partial(task_id="mapped", job="train").expand(
        details=[{"mlflow": {"run": run, "model_uri": f"models:/m-{run}"}} for run in ("a", "b")]
    )
