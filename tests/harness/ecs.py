"""The operator under test: one task of one DAG run, the behaviour of its job, and the faults that it meets."""

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
from orchestration.ecs_operator import JobLogFetcher, RatchetJobOperator, launch_token

NUMBERS = itertools.count()


@dataclass
class EcsHarness:
    """`client` is an ECS client that bypasses the proxy; `folder` is where `fake_job.py` reads its behaviour."""

    folder: Path
    faults: Faults
    client: Any
    batch: str = ""

    def reset(self) -> None:
        """Start a new job, on another batch, in another DAG run, without faults."""
        self.batch = f"batch_{next(NUMBERS):02d}"
        self.xcom: dict[str, Any] = {}
        ti = SimpleNamespace(
            dag_id="review_sentiment",
            run_id=f"run-{self.batch}",
            task_id="featurize",
            map_index=-1,
            xcom_push=lambda key, value: self.xcom.update({key: value}),
        )
        self.context: Any = {"ti": ti}
        self.faults.reset()
        for record in ("go", "launches"):
            (self.folder / record).unlink(missing_ok=True)

    def operator(self, kind: type[RatchetJobOperator] = RatchetJobOperator, **changes: Any) -> RatchetJobOperator:
        """An operator for the job, with the settings of the present environment."""
        settings.ecs_settings.cache_clear()
        return kind(task_id="featurize", job="featurize", arguments={"batch": self.batch}, **changes)

    def run(self, behaviour: str, **changes: Any) -> dict[str, Any]:
        """One try of the Airflow task, with this behaviour of the job."""
        self.set_behaviour(behaviour)
        return self.operator(**changes).execute(self.context)

    def set_behaviour(self, words: str) -> None:
        """Set what `fake_job.py` does: some of `wait`, `fail`, `killed`, `input_error`, `manifest`, or `nothing`."""
        (self.folder / "behaviour").write_text(words)

    def operator_that_ends_the_wait(self) -> RatchetJobOperator:
        """An operator whose job, if it waits, continues once the operator has begun to watch it."""

        class EndsTheWait(RatchetJobOperator):
            def _get_task_log_fetcher(this) -> JobLogFetcher:
                (self.folder / "go").touch()
                return super()._get_task_log_fetcher()

        return self.operator(EndsTheWait)

    def launch_as_earlier_try(self, client: Any, **changes: Any) -> str:
        """Send RunTask as an earlier try whose worker then died; returns the ARN."""
        token = launch_token(self.context)
        overrides = self.operator().overrides_for(self.context["ti"], token, forced=False)
        request = {"cluster": provision.CLUSTER, "taskDefinition": provision.FAMILY, "overrides": overrides}
        request |= {"startedBy": token, "clientToken": Launch(client, provision.CLUSTER, token, 0, 0).client_token}
        arn: str = client.run_task(**request, **changes)["tasks"][0]["taskArn"]
        return arn

    @property
    def started_processes(self) -> int:
        """The number of processes that were started for this job."""
        record = self.folder / "launches"
        return record.read_text().split().count(launch_token(self.context)) if record.exists() else 0

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """All ECS tasks of this launch, oldest first."""
        states = ("RUNNING", "STOPPED")
        request = {"cluster": provision.CLUSTER, "startedBy": launch_token(self.context)}
        arns = [arn for state in states for arn in self.client.list_tasks(**request, desiredStatus=state)["taskArns"]]
        found = self.client.describe_tasks(cluster=provision.CLUSTER, tasks=arns)["tasks"] if arns else []
        return sorted(found, key=lambda task: task["createdAt"])
