"""All ECS tasks of one launch: find them, start the next one, wait for it. See docs/decisions/0009-one-launch.md.

Every call is retried while ECS does not answer, throttles or lacks capacity, within a budget of seconds. botocore's own
retries are off, because they would send RunTask again without checking whether the first request was accepted.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from orchestration.ecs_outcome import CAPACITY_MESSAGE, is_spot_interruption

log = logging.getLogger(__name__)
Result = TypeVar("Result")

SINGLE_ATTEMPT = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 30}
"""botocore's configuration for a client that a launch uses. RunTask answers within seconds."""
_random = random.SystemRandom()
MAX_PAUSE = 60.0
"""Seconds between two attempts at the same request, at most."""
CAPACITY_REMEDY = "Add subnets in other availability zones, reduce the task's size, or wait and clear the Airflow task."
SILENCE_REMEDY = "Check AWS_ENDPOINT_URL, region and AWS Health. A task that was launched is found by the next try."


class TaskNotVisible(Exception):
    """ECS does not describe a task that it has just accepted, because its lists lag behind."""


@dataclass
class RetryBudget:
    """Seconds to spend on retries of one request, with growing pauses and random jitter."""

    service: str
    seconds: float
    first_pause: float
    started: float | None = None
    pauses: int = 0

    def pause_or_raise(self, error: Exception) -> None:
        """Sleep before the next attempt.

        Raises AirflowFailException for an error that a retry would only repeat, and AirflowException, which Airflow's
        own tries follow, once the budget is spent.
        """
        description = describe_error(error)
        if not is_transient(error):
            raise AirflowFailException(
                f"{self.service} refused: {description}. Fix the cause and clear the Airflow task."
            ) from error
        self.started = self.started or time.monotonic()
        pause = min(MAX_PAUSE, self.first_pause * 2**self.pauses) * _random.uniform(0.5, 1)
        self.pauses += 1
        spent = time.monotonic() - self.started
        if spent + pause > self.seconds:
            shortage = is_capacity_shortage(error)
            problem, remedy = ("had no capacity", CAPACITY_REMEDY) if shortage else ("did not answer", SILENCE_REMEDY)
            raise AirflowException(f"{self.service} {problem} for {spent:.0f} s: {description}. {remedy}") from error
        log.warning("%s: %s. Next attempt in %.1f s.", self.service, description, pause)
        time.sleep(pause)


@dataclass
class Launch:
    """One task of one DAG run. Its `token` is the `startedBy` of all its ECS tasks.

    `retry_seconds` is the budget of each request, `poll_seconds` the pause between two polls of a task, and `stopped`
    has the descriptions of the launch's stopped tasks by ARN.
    """

    client: Any
    cluster: str
    token: str
    retry_seconds: float
    poll_seconds: float
    stopped: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def client_token(self) -> str:
        """The token for the task after the stopped ones.

        It is the same until another task of this launch has stopped, and is never used again after that.
        """
        return f"{self.token}-{hashlib.sha256(' '.join(sorted(self.stopped)).encode()).hexdigest()[:16]}"

    @property
    def interruptions(self) -> int:
        """The number of the launch's tasks that Spot interrupted: in this try, and in others of the last hour or so.

        ECS lists stopped tasks for about an hour.
        """
        return sum(map(is_spot_interruption, self.stopped.values()))

    def find_active(self) -> str | None:
        """The ARN of a task that has not stopped yet, if there is one. Notes all tasks that have stopped."""
        arns = [arn for desired in ("RUNNING", "STOPPED") for arn in self._list_tasks(desired)]
        if not arns:
            return None
        found = self.call_with_retries(lambda: self.client.describe_tasks(cluster=self.cluster, tasks=arns))["tasks"]
        self.stopped |= {task["taskArn"]: task for task in found if task["lastStatus"] == "STOPPED"}
        return next((task["taskArn"] for task in found if task["lastStatus"] != "STOPPED"), None)

    def start(self, run_task: Callable[[str], str]) -> str:
        """Start the next task; returns its ARN.

        `run_task` gets the client token, the same at every attempt. After a failed attempt the tasks are listed first,
        because the response may be lost although the task was started.
        """
        token, stopped_before, budget = self.client_token, set(self.stopped), self.retry_budget()
        while True:
            try:
                return run_task(token)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConflictException":  # accepted before, with other parameters
                    arn: str = error.response["resourceIds"][0]
                    return arn
                budget.pause_or_raise(error)
            except (BotoCoreError, EcsOperatorError) as error:
                budget.pause_or_raise(error)
            if started := self.find_active() or next(iter(self.stopped.keys() - stopped_before), None):
                return started

    def wait(self, arn: str) -> dict[str, Any]:
        """Poll a task until it has stopped; returns its description."""
        while (task := self.call_with_retries(lambda: self._describe_task(arn)))["lastStatus"] != "STOPPED":
            time.sleep(self.poll_seconds)
        self.stopped[arn] = task
        return task

    def call_with_retries(self, call: Callable[[], Result]) -> Result:
        """The result of an idempotent call. Raises the same errors as RetryBudget.pause_or_raise."""
        budget = self.retry_budget()
        while True:
            try:
                return call()
            except (BotoCoreError, ClientError, TaskNotVisible) as error:
                budget.pause_or_raise(error)

    def retry_budget(self) -> RetryBudget:
        """An unspent budget for one request."""
        return RetryBudget(f"ECS at {self.client.meta.endpoint_url}", self.retry_seconds, self.poll_seconds)

    def _list_tasks(self, desired: str) -> list[str]:
        request = {"cluster": self.cluster, "startedBy": self.token, "desiredStatus": desired}
        arns: list[str] = self.call_with_retries(lambda: self.client.list_tasks(**request))["taskArns"]
        return arns

    def _describe_task(self, arn: str) -> dict[str, Any]:
        tasks: list[dict[str, Any]] = self.client.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"]
        if not tasks:
            raise TaskNotVisible(f"it does not know task {arn}")
        return tasks[0]


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later: capacity, throttling, 5xx, a lost connection."""
    if is_capacity_shortage(error) or isinstance(error, TaskNotVisible | BotoConnectionError | HTTPClientError):
        return True
    if not isinstance(error, ClientError):
        return False
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return bool(status >= 500 or status == 429 or "Throttl" in code or "Rate exceeded" in str(error))


def is_capacity_shortage(error: Exception) -> bool:
    """Whether ECS lacks capacity. It reports that as an error, or as one of RunTask's `failures`."""
    description = describe_error(error)
    return CAPACITY_MESSAGE in description or (
        isinstance(error, EcsOperatorError) and description.startswith(("RESOURCE", "AGENT"))
    )


def describe_error(error: Exception) -> str:
    """The error's message without a full stop; of a refused RunTask only the reasons, not the whole response."""
    if isinstance(error, EcsOperatorError):
        return ", ".join(failure.get("reason", "no reason given") for failure in error.failures)
    if isinstance(error, ClientError):
        details = error.response["Error"]
        return f"{error.operation_name} was answered {details['Code']}: {details['Message']}".rstrip(".")
    return str(error).rstrip(".")
