"""The only place where an ECS task is configured, launched and believed.

A job runs once. Stock `EcsRunTaskOperator` launches again when a worker died after its task had finished, and a retry
can launch beside a task that still runs. Here the manifest is asked first, then ECS, and only then is a task launched,
with a `clientToken` that makes a repeated RunTask return the first task. Success is exit code 0 and the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration.settings import ecs_settings
from ratchet.catalogue import JOBS
from ratchet.errors import NEEDS_A_PERSON
from ratchet.jobs import Job
from ratchet.manifests import Manifest
from ratchet.settings import Settings
from ratchet.storage import Storage, open_storage


class RatchetJobOperator(EcsRunTaskOperator):
    """Run one job of `ratchet.catalogue` as one ECS task and return what its manifest says.

    :param job: name of the job, for example `train`.
    :param arguments: its arguments, as on the command line; templated.
    :param force: `True` (as text, templated) runs the job even if its result stands, but once per DAG run and task.
    """

    template_fields: Sequence[str] = (*EcsRunTaskOperator.template_fields, "arguments", "force")

    def __init__(
        self,
        *,
        job: str,
        arguments: dict[str, str] | None = None,
        force: str = "False",
        **kwargs: Any,
    ) -> None:
        infra = ecs_settings()
        super().__init__(
            cluster=infra.cluster,
            task_definition=infra.task_definition,
            launch_type=infra.launch_type,
            network_configuration=infra.network,
            overrides={},
            aws_conn_id=None,  # the role that boto3 finds; a connection would be a second place for one fact
            awslogs_group=infra.log_group,
            awslogs_stream_prefix=infra.log_prefix,
            awslogs_fetch_interval=infra.poll_interval,
            container_name=infra.container,  # unless it is named, the operator sleeps 10 s per task to find it out
            waiter_delay=infra.poll_seconds,
            do_xcom_push=True,
            **kwargs,
        )
        self.job, self.arguments, self.force = job, arguments or {}, force

    def execute(self, context: Context) -> dict[str, Any]:
        """Find the job's result, or its task, or launch it; wait; return rows, metrics and details."""
        job, settings = JOBS[self.job](**self.arguments), Settings()
        storage, launch = open_storage(settings.store), launch_token(context)
        forced = str(self.force) == "True"
        standing = job.result(storage, force=forced, launch=launch)
        if standing:
            self.log.info("The result of %s stands under %s; nothing to launch.", job.name, job.room)
            return summary(standing)
        self.overrides = self.overrides_for(context["ti"], launch, forced=forced)
        self._started_by = launch
        self.arn = self._already_launched(launch)
        super().execute(context)
        return summary(self._proof(job, storage, launch, forced))

    def overrides_for(self, ti: Any, launch: str, *, forced: bool) -> dict[str, Any]:
        options = [text for name, value in self.arguments.items() for text in (f"--{name}", str(value))]
        environment = {"RATCHET_LAUNCH": launch, "RATCHET_DAG_RUN": ti.run_id}
        return {
            "containerOverrides": [
                {
                    "name": self.container_name,
                    "command": [self.job, *options, *(["--force"] if forced else [])],
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                }
            ]
        }

    def _check_success_task(self) -> None:
        """As the stock operator does, but without further tries for an error that only a person can mend."""
        try:
            super()._check_success_task()
        except AirflowException as error:
            (task,) = self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]
            if {container.get("exitCode") for container in task["containers"]} & NEEDS_A_PERSON:
                raise AirflowFailException(str(error)) from error
            raise

    def _already_launched(self, launch: str) -> str | None:
        """The ARN of this launch's task if one is on its way; else a token for the next launch is prepared.

        A stopped task without a manifest has failed, so the next launch needs a token of its own.
        """
        active = self._tasks(launch, "RUNNING")
        if active:
            self.log.info("Task %s of this launch is on its way; waiting for it.", active[0])
            return active[0]
        attempt = len(self._tasks(launch, "STOPPED"))

        def add_token(params: dict[str, Any], **_: Any) -> dict[str, Any]:
            return {**params, "clientToken": f"{launch}-{attempt}"}

        self.client.meta.events.register("provide-client-params.ecs.RunTask", add_token)
        return None

    def _tasks(self, launch: str, desired: str) -> list[str]:
        """ARNs of this launch's tasks; RUNNING is what ECS wants of them, so pending ones are among them."""
        found = self.client.list_tasks(cluster=self.cluster, startedBy=launch, desiredStatus=desired)
        return found["taskArns"]

    def _proof(self, job: Job, storage: Storage, launch: str, forced: bool) -> Manifest:
        manifest = job.result(storage, force=forced, launch=launch)
        if manifest is None:
            raise AirflowException(
                f"ECS says that {self.arn} ended well, but {job.name} left no manifest under {storage.uri}/{job.room}. "
                "It was stopped from outside or wrote elsewhere: compare RATCHET_STORE here and in the task definition."
            )
        return manifest


def launch_token(context: Context) -> str:
    """The same for every try of one task in one DAG run, and for nothing else: 32 hex digits (`startedBy` holds 36)."""
    ti = context["ti"]
    identity = "/".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def summary(manifest: Manifest) -> dict[str, Any]:
    """What later tasks and readers of XCom want to know; small, because XCom is a database row."""
    return manifest.model_dump(include={"job", "room", "rows", "metrics", "details", "seconds"})
