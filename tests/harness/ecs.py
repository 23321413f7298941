"""What the operator's tests have in common: one task of one DAG run, what its job does, and what can go wrong."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.fault_proxy import Faults
from local import provision
from orchestration import settings
from orchestration.ecs_launch import Launch
from orchestration.ecs_operator import JobLog, RatchetJobOperator, launch_token

NUMBERS = itertools.count()


@dataclass
class Stage:
    """`ecs` is a client that goes past the proxy."""

    behaviour: Path
    faults: Faults
    ecs: Any
    batch: str = ""

    def reset(self) -> None:
        """Another job, on another batch, in another DAG run; nothing goes wrong."""
        self.batch = f"batch_{next(NUMBERS):02d}"
        self.xcom: dict[str, Any] = {}
        ti = SimpleNamespace(
            dag_id="review_sentiment",
            run_id=f"run-{self.batch}",
            task_id="featurize",
            map_index=-1,
            xcom_push=lambda key, value: self.xcom.update({key: value}),
        )
        self.context: dict[str, Any] = {"ti": ti}
        self.faults.begin()
        for record in ("go", "launches"):
            (self.behaviour / record).unlink(missing_ok=True)

    def operator(self, kind: type[RatchetJobOperator] = RatchetJobOperator, **changes: Any) -> RatchetJobOperator:
        settings.ecs_settings.cache_clear()
        return kind(task_id="featurize", job="featurize", arguments={"batch": self.batch}, **changes)

    def run(self, do: str, **changes: Any) -> dict[str, Any]:
        """One try of the Airflow task, its job doing as `fake_job.py` is told."""
        self.do(do)
        return self.operator(**changes).execute(self.context)

    def do(self, words: str) -> None:
        (self.behaviour / "do").write_text(words)

    def operator_that_lets_go(self) -> RatchetJobOperator:
        """Its job, told to wait, does so until the operator watches it."""

        class LetsGo(RatchetJobOperator):
            def _get_task_log_fetcher(this) -> JobLog:
                (self.behaviour / "go").touch()
                return super()._get_task_log_fetcher()

        return self.operator(LetsGo)

    def launch_before(self, ecs: Any, **changes: Any) -> str:
        """RunTask as an earlier try has sent it, whose worker then died; returns the ARN."""
        token = launch_token(self.context)
        overrides = self.operator().overrides_for(self.context["ti"], token, forced=False)
        request = {"cluster": provision.CLUSTER, "taskDefinition": provision.FAMILY, "overrides": overrides}
        request |= {"startedBy": token, "clientToken": Launch(ecs, provision.CLUSTER, token, 0, 0).client_token}
        return ecs.run_task(**request, **changes)["tasks"][0]["taskArn"]

    @property
    def jobs(self) -> int:
        """How many processes were started for this job."""
        record = self.behaviour / "launches"
        return record.read_text().split().count(launch_token(self.context)) if record.exists() else 0

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """All ECS tasks of this launch, oldest first."""
        states = ("RUNNING", "STOPPED")
        question = {"cluster": provision.CLUSTER, "startedBy": launch_token(self.context)}
        arns = [arn for state in states for arn in self.ecs.list_tasks(**question, desiredStatus=state)["taskArns"]]
        found = self.ecs.describe_tasks(cluster=provision.CLUSTER, tasks=arns)["tasks"] if arns else []
        return sorted(found, key=lambda task: task["createdAt"])
