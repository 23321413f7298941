"""The operator that runs a job as an ECS task: the only place that configures such a task and decides on its success.

A job runs once. The stock `EcsRunTaskOperator` launches a job again if the worker died after its task had finished, and
a retry of it can launch a second task while the first still runs. This operator first looks for the job's manifest and
for a running task, and launches one only if there is neither, with a `clientToken` for which a repeated RunTask returns
the first task. A job has succeeded if its exit code is 0 and its manifest is in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.task_log_fetcher import AwsTaskLogFetcher
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from orchestration.ecs_launch import SINGLE_ATTEMPT, Launch
from orchestration.ecs_outcome import NotPlaced, SpotInterrupted, raise_for_outcome
from orchestration.links import LINKS, EcsTaskLink
from orchestration.settings import ecs_settings
from ratchet.jobs.base import Job
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage, open_storage
from ratchet.settings import Settings

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
MAX_SPOT_INTERRUPTIONS = 2
"""A third interruption of the same job would cost more than Spot's discount of about 70 %."""
LOG_TAIL_LINES = 10
"""Lines of a failed job's log that the error quotes."""
KILL_RETRY_SECONDS = 4.0
"""Airflow's supervisor sends SIGKILL 5 s after SIGTERM."""


class RatchetJobOperator(EcsRunTaskOperator):
    """Run one job of `ratchet.jobs.catalogue` as one ECS task and return a summary of its manifest.

    :param job: name of the job, for example `train`.
    :param arguments: its arguments, as on the command line; templated.
    :param force: `True` (as text, templated) runs the job even if it has a valid result, once per DAG run and task.
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
            aws_conn_id=None,  # boto3 finds the role; an Airflow connection would store the same fact a second time
            botocore_config=SINGLE_ATTEMPT,
            awslogs_group=infra.log_group,
            awslogs_stream_prefix=infra.log_prefix,
            awslogs_fetch_interval=infra.poll_interval,
            container_name=infra.container,
            do_xcom_push=True,
            **kwargs,
        )
        self.job, self.arguments, self.force = job, arguments or {}, force
        self.container, self.use_spot = infra.container, infra.spot
        self.retry_seconds, self.poll_seconds = infra.patience_seconds, infra.poll_seconds
        self.launch: Launch | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Return rows, metrics and details of the job's manifest, after running the job if necessary.

        A task that ECS took away is launched again within this try: Airflow's tries are for the job's own failures, and
        two interruptions in one night must not use them up. Raises AirflowFailException if a person has to act first,
        and AirflowException if another try may succeed.
        """
        job, settings = JOBS[self.job](**self.arguments), Settings()
        storage, token = open_storage(settings.store), launch_token(context)
        self._started_by, forced = token, str(self.force) == "True"
        self.overrides = self.overrides_for(context["ti"], token, forced=forced)
        self.launch = launch = Launch(self.client, self.cluster, token, self.retry_seconds, self.poll_seconds)
        budget = launch.retry_budget()
        while True:
            self.arn = launch.find_active()  # before the manifest: a task that ends in between has written one
            result = job.result(storage, force=forced, launch=token)
            if result and not self.arn:
                self.log.info("%s has a valid result under %s; nothing to launch.", job.name, job.prefix)
                return summary(result)
            try:
                task = self._run_to_completion(launch, context["ti"])
                return summary(self._require_manifest(task, job, storage, token, forced))
            except SpotInterrupted as reason:
                if launch.interruptions > MAX_SPOT_INTERRUPTIONS:
                    raise
                self.log.warning("%s Launching again, time %d.", reason, launch.interruptions + 1)
                budget = launch.retry_budget()
            except NotPlaced as reason:
                budget.pause_or_raise(reason)

    def overrides_for(self, ti: Any, token: str, *, forced: bool) -> dict[str, Any]:
        """RunTask's `overrides`: the job's command line, without empty arguments, and the launch's environment.

        They contain no secret: the ECS console and CloudTrail show them.
        """
        given = {name: str(value) for name, value in self.arguments.items() if str(value)}
        options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", value)]
        environment = {"RATCHET_LAUNCH": token, "RATCHET_DAG_RUN": ti.run_id}
        return {
            "containerOverrides": [
                {
                    "name": self.container,
                    "command": [self.job, *options, *(["--force"] if forced else [])],
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                }
            ]
        }

    def _run_to_completion(self, launch: Launch, ti: Any) -> dict[str, Any]:
        """Wait for the launch's active task, or start one, and relay its log; returns the task's description.

        Raises the errors of `raise_for_outcome`.
        """
        if self.arn:
            self.log.info("Task %s of this launch has not stopped yet; waiting for it.", self.arn)
        else:
            on_spot = self.use_spot and launch.interruptions < MAX_SPOT_INTERRUPTIONS
            self.capacity_provider_strategy = SPOT if on_spot else None
            self.arn = launch.start(self._run_task)
        ti.xcom_push(key="ecs_task_arn", value=self.arn)
        EcsTaskLink().push(ti, self.arn)
        self.task_log_fetcher = logs = self._get_task_log_fetcher()
        logs.start()
        try:
            task = launch.wait(self.arn)
        finally:
            logs.stop()  # type: ignore[no-untyped-call]  # the provider has no annotation there
        logs.join()
        raise_for_outcome(task, self.container, lambda: "\n".join(logs.get_last_log_messages(LOG_TAIL_LINES)))
        return task

    def _run_task(self, client_token: str) -> str:
        """Send one RunTask request as the stock operator does, with our client token; returns the task's ARN."""

        def add_token(params: dict[str, Any], **_: Any) -> dict[str, Any]:
            return {**params, "clientToken": client_token}

        hooks, event = self.client.meta.events, "provide-client-params.ecs.RunTask"
        hooks.register(event, add_token)
        try:
            self._start_task()  # type: ignore[no-untyped-call]  # the provider has no annotation there
        finally:
            hooks.unregister(event, add_token)
        if self.arn is None:
            raise AirflowException("ECS returned no task for RunTask. The next try launches it again.")
        return self.arn

    def _get_task_log_fetcher(self) -> JobLogFetcher:
        return JobLogFetcher(
            aws_conn_id=self.aws_conn_id,
            region_name=self.resolve_awslogs_region(),
            log_group=self.awslogs_group,
            log_stream_name=self._get_logs_stream_name(),
            fetch_interval=self.awslogs_fetch_interval,
            logger=self.log,
        )

    def on_kill(self) -> None:
        """Stop the launch's active task, even if its ARN is not known yet.

        Requests are retried for a few seconds: a task that is not stopped would continue without an Airflow task.
        """
        if self.launch is None:
            return
        self.launch.retry_seconds = min(self.launch.retry_seconds, KILL_RETRY_SECONDS)
        if arn := self.arn or self.launch.find_active():
            reason = "The Airflow task was stopped or ran out of time"
            self.launch.call_with_retries(lambda: self.client.stop_task(cluster=self.cluster, task=arn, reason=reason))

    def _require_manifest(self, task: dict[str, Any], job: Job, storage: Storage, token: str, forced: bool) -> Manifest:
        manifest = job.result(storage, force=forced, launch=token)
        if manifest is None:
            raise AirflowException(
                f"ECS reports success for {self.arn} ({task.get('stoppedReason')}), but {job.name} left no manifest "
                f"under {storage.uri}/{job.prefix}. It was stopped from outside, or it wrote to another store: compare "
                "RATCHET_STORE here and in the task definition."
            )
        return manifest


class JobLogFetcher(AwsTaskLogFetcher):
    """Relays a job's log lines from CloudWatch. An error of CloudWatch is a warning and never fails the job."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = {"retries": {"mode": "standard", "total_max_attempts": 3}, "connect_timeout": 5, "read_timeout": 20}
        self.hook = AwsLogsHook(aws_conn_id=kwargs["aws_conn_id"], region_name=kwargs["region_name"], config=config)

    def get_last_log_messages(self, number_messages: int) -> list[str]:
        """The last lines of the log or, if CloudWatch refuses or does not answer, one line with the error."""
        try:
            return super().get_last_log_messages(number_messages)
        except (BotoCoreError, ClientError) as error:
            return [f"(CloudWatch did not return the log: {error})"]

    def _get_log_events(self, skip_token: AwsLogsHook.ContinuationToken | None = None) -> Generator[Any, None, None]:
        try:
            yield from super()._get_log_events(skip_token)
        except BotoCoreError as error:  # the stock fetcher handles a refusal and one kind of lost connection only
            self.logger.warning("CloudWatch did not return the log: %s", error)


def launch_token(context: Context) -> str:
    """The token of a launch: 32 hexadecimal digits, because `startedBy` takes 36 characters.

    It is the same for every try of one task in one DAG run, and different for every other task.
    """
    ti = context["ti"]
    identity = "/".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def summary(manifest: Manifest) -> dict[str, Any]:
    """The part of a manifest that goes into XCom; it is small, because XCom is a database row."""
    return manifest.model_dump(include={"job", "prefix", "rows", "metrics", "details", "seconds"})
