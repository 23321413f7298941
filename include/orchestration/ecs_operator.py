"""The only place where an ECS task is configured, launched and believed.

A job runs once. Stock `EcsRunTaskOperator` launches again when a worker died after its task had finished, and a retry
can launch beside a task that still runs. Here ECS and the manifest are asked first, and only then is a task launched,
with a `clientToken` that makes a repeated RunTask return the first task. Success is exit code 0 and the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.task_log_fetcher import AwsTaskLogFetcher
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from orchestration.ecs_launch import ONE_ATTEMPT, Launch
from orchestration.ecs_outcome import Interrupted, NotPlaced, judge
from orchestration.links import LINKS, EcsTaskLink
from orchestration.settings import ecs_settings
from ratchet.jobs.base import Job
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage, open_storage
from ratchet.settings import Settings

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
SPOT_TRIES = 2
"""A third interruption of the same job would cost more than its discount of about 70 %."""
LAST_WORDS = 10
"""Lines of a failed job's log that become part of the error."""
KILL_PATIENCE = 4.0
"""Seconds; Airflow's supervisor sends SIGKILL 5 s after SIGTERM."""


class RatchetJobOperator(EcsRunTaskOperator):
    """Run one job of `ratchet.jobs.catalogue` as one ECS task and return what its manifest says.

    :param job: name of the job, for example `train`.
    :param arguments: its arguments, as on the command line; templated.
    :param force: `True` (as text, templated) runs the job even if its result stands, but once per DAG run and task.
    """

    template_fields: Sequence[str] = (*EcsRunTaskOperator.template_fields, "arguments", "force")
    operator_extra_links = LINKS

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
            botocore_config=ONE_ATTEMPT,
            awslogs_group=infra.log_group,
            awslogs_stream_prefix=infra.log_prefix,
            awslogs_fetch_interval=infra.poll_interval,
            container_name=infra.container,
            do_xcom_push=True,
            **kwargs,
        )
        self.job, self.arguments, self.force = job, arguments or {}, force
        self.spot, self.patience, self.poll = infra.spot, infra.patience_seconds, infra.poll_seconds
        self.launch: Launch | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Find the job's result, or its task, or launch it; wait; return rows, metrics and details.

        What ECS took away through no fault of the job is launched again here: Airflow's tries are for the job's own
        failures, and an interruption in the night must not use them up.
        """
        job, settings = JOBS[self.job](**self.arguments), Settings()
        storage, token = open_storage(settings.store), launch_token(context)
        self._started_by, forced = token, str(self.force) == "True"
        self.overrides = self.overrides_for(context["ti"], token, forced=forced)
        self.launch = Launch(self.client, self.cluster, token, self.patience, self.poll)
        patience = self.launch.waiting()
        while True:
            self.arn = self.launch.find()  # before the manifest: a task that ends in between has left one
            standing = job.result(storage, force=forced, launch=token)
            if standing and not self.arn:
                self.log.info("The result of %s stands under %s; nothing to launch.", job.name, job.prefix)
                return summary(standing)
            try:
                task = self._see_through(context["ti"])
                return summary(self._proof(task, job, storage, token, forced))
            except Interrupted as reason:
                if self.launch.interruptions > SPOT_TRIES:
                    raise
                self.log.warning("%s Launching again, time %d.", reason, self.launch.interruptions + 1)
                patience = self.launch.waiting()
            except NotPlaced as reason:
                patience.spend(reason)

    def overrides_for(self, ti: Any, token: str, *, forced: bool) -> dict[str, Any]:
        given = {name: str(value) for name, value in self.arguments.items() if str(value)}
        options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]
        environment = {"RATCHET_LAUNCH": token, "RATCHET_DAG_RUN": ti.run_id}
        return {
            "containerOverrides": [
                {
                    "name": self.container_name,
                    "command": [self.job, *options, *(["--force"] if forced else [])],
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                }
            ]
        }

    def _see_through(self, ti: Any) -> dict[str, Any]:
        """Wait for the task that is on its way, or else launch one, and relay its log. Raises as `endings.judge`."""
        if self.arn:
            self.log.info("Task %s of this launch is on its way; waiting for it.", self.arn)
        else:
            spot = self.spot and self.launch.interruptions < SPOT_TRIES
            self.capacity_provider_strategy = SPOT if spot else None
            self.arn = self.launch.start(self._run_task)
        ti.xcom_push(key="ecs_task_arn", value=self.arn)
        EcsTaskLink().push(ti, self.arn)
        self.task_log_fetcher = logs = self._get_task_log_fetcher()
        logs.start()
        try:
            task = self.launch.wait(self.arn)
        finally:
            logs.stop()
        logs.join()
        judge(task, self.container_name, lambda: "\n".join(logs.get_last_log_messages(LAST_WORDS)))
        return task

    def _run_task(self, client_token: str) -> str:
        """One RunTask, as the stock operator sends it, with our token."""

        def add_token(params: dict[str, Any], **_: Any) -> dict[str, Any]:
            return {**params, "clientToken": client_token}

        hooks, event = self.client.meta.events, "provide-client-params.ecs.RunTask"
        hooks.register(event, add_token)
        try:
            self._start_task()
        finally:
            hooks.unregister(event, add_token)
        return self.arn

    def _get_task_log_fetcher(self) -> JobLog:
        return JobLog(
            aws_conn_id=self.aws_conn_id,
            region_name=self.resolve_awslogs_region(),
            log_group=self.awslogs_group,
            log_stream_name=self._get_logs_stream_name(),
            fetch_interval=self.awslogs_fetch_interval,
            logger=self.log,
        )

    def on_kill(self) -> None:
        """Stop the task, also one whose ARN is on its way to us, and do not take one lost request for an answer:
        an orphan would go on working."""
        if self.launch is None:
            return
        self.launch.patience = min(self.launch.patience, KILL_PATIENCE)
        if arn := self.arn or self.launch.find():
            reason = "The Airflow task was stopped or ran out of time"
            self.launch.ask(lambda: self.client.stop_task(cluster=self.cluster, task=arn, reason=reason))

    def _proof(self, task: dict[str, Any], job: Job, storage: Storage, token: str, forced: bool) -> Manifest:
        manifest = job.result(storage, force=forced, launch=token)
        if manifest is None:
            raise AirflowException(
                f"ECS says that {self.arn} ended well ({task.get('stoppedReason')}), but {job.name} left no manifest "
                f"under {storage.uri}/{job.prefix}. It was stopped from outside, or it wrote elsewhere: compare "
                "RATCHET_STORE here and in the task definition."
            )
        return manifest


class JobLog(AwsTaskLogFetcher):
    """A job's lines, as far as CloudWatch gives them. Without them the job runs on all the same."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = {"retries": {"mode": "standard", "total_max_attempts": 3}, "connect_timeout": 5, "read_timeout": 20}
        self.hook = AwsLogsHook(aws_conn_id=kwargs["aws_conn_id"], region_name=kwargs["region_name"], config=config)

    def _get_log_events(self, skip_token: AwsLogsHook.ContinuationToken | None = None) -> Iterator[dict[str, Any]]:
        try:
            yield from super()._get_log_events(skip_token)
        except BotoCoreError as error:  # the stock one bears a refusal and one kind of lost connection, no more
            self.logger.warning("CloudWatch did not give the log: %s", error)

    def get_last_log_messages(self, number_messages: int) -> list[str]:
        try:
            return super().get_last_log_messages(number_messages)
        except (BotoCoreError, ClientError) as error:
            return [f"(CloudWatch did not give the log: {error})"]


def launch_token(context: Context) -> str:
    """The same for every try of one task in one DAG run, and for nothing else: 32 hex digits (`startedBy` holds 36)."""
    ti = context["ti"]
    identity = "/".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def summary(manifest: Manifest) -> dict[str, Any]:
    """What later tasks and readers of XCom want to know; small, because XCom is a database row."""
    return manifest.model_dump(include={"job", "prefix", "rows", "metrics", "details", "seconds"})
