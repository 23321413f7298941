"""All ECS tasks of one launch: found again, launched once, waited for. See docs/decisions/0009-one-launch.md.

Every call is repeated while ECS is silent, throttles or lacks room, for so many seconds at most. botocore's own retries
are off, because they would send RunTask again without looking whether the first one has been accepted.
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
from botocore.exceptions import ConnectionError as Unreachable

from orchestration.ecs_outcome import CAPACITY, was_interrupted

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 30}
"""botocore's configuration for a client that a launch uses. RunTask answers within seconds."""
LONGEST_PAUSE = 60.0
NO_ROOM = "Add subnets in other availability zones, let the task ask for less, or wait and clear the Airflow task."
NO_ANSWER = "Check AWS_ENDPOINT_URL, region and AWS Health. A task that was launched is found by the next try."


class NotVisible(Exception):
    """ECS does not show a task that it has just accepted; its lists lag behind."""


@dataclass
class Patience:
    """Waits out what passes by itself, ever longer and out of step with other tasks, but not for ever."""

    where: str
    seconds: float
    first_pause: float
    began: float | None = None
    pauses: int = 0

    def spend(self, error: Exception) -> None:
        """Sleep before the next attempt. Raises AirflowFailException for what does not pass, else AirflowException
        with what to do, once the time is up."""
        said = in_words(error)
        if not passes(error):
            raise AirflowFailException(f"{self.where} refused: {said}. Mend it and clear the Airflow task.") from error
        self.began = self.began or time.monotonic()
        pause = min(LONGEST_PAUSE, self.first_pause * 2**self.pauses) * random.uniform(0.5, 1)
        self.pauses += 1
        spent = time.monotonic() - self.began
        if spent + pause > self.seconds:
            trouble, remedy = ("had no room", NO_ROOM) if lacks_room(error) else ("did not answer", NO_ANSWER)
            raise AirflowException(f"{self.where} {trouble} for {spent:.0f} s: {said}. {remedy}") from error
        log.warning("%s: %s. Asking again in %.1f s.", self.where, said, pause)
        time.sleep(pause)


@dataclass
class Launch:
    """One task of one DAG run, by its token: what `startedBy` of all its ECS tasks says."""

    client: Any
    cluster: str
    token: str
    patience: float
    poll: float
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def client_token(self) -> str:
        """Says "the one after these": the same until another task of this launch has ended, and never again after."""
        return f"{self.token}-{hashlib.sha256(' '.join(sorted(self.ended)).encode()).hexdigest()[:16]}"

    @property
    def interruptions(self) -> int:
        """How often Spot has ended this launch, as far as ECS remembers; about an hour, and all of this try."""
        return sum(map(was_interrupted, self.ended.values()))

    def find(self) -> str | None:
        """The ARN of a task that is on its way, pending or stopping ones among them; notes all that have ended."""
        arns = [arn for desired in ("RUNNING", "STOPPED") for arn in self._listed(desired)]
        tasks = self.ask(lambda: self.client.describe_tasks(cluster=self.cluster, tasks=arns))["tasks"] if arns else []
        self.ended |= {task["taskArn"]: task for task in tasks if task["lastStatus"] == "STOPPED"}
        return next((task["taskArn"] for task in tasks if task["lastStatus"] != "STOPPED"), None)

    def start(self, run_task: Callable[[str], str]) -> str:
        """The ARN of the next task. `run_task` is given the client token, the same however often it must be asked.

        Between two requests the tasks are looked through: the answer may be lost and the task be there.
        """
        token, before, patience = self.client_token, set(self.ended), self.waiting()
        while True:
            try:
                return run_task(token)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConflictException":  # accepted before, of other settings
                    return error.response["resourceIds"][0]
                patience.spend(error)
            except (BotoCoreError, EcsOperatorError) as error:
                patience.spend(error)
            if there := self.find() or next(iter(self.ended.keys() - before), None):
                return there

    def wait(self, arn: str) -> dict[str, Any]:
        """The description of a task, once it has stopped."""
        while (task := self.ask(lambda: self._described(arn)))["lastStatus"] != "STOPPED":
            time.sleep(self.poll)
        self.ended[arn] = task
        return task

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """The answer to a call that may be repeated."""
        patience = self.waiting()
        while True:
            try:
                return call()
            except (BotoCoreError, ClientError, NotVisible) as error:
                patience.spend(error)

    def waiting(self) -> Patience:
        return Patience(f"ECS at {self.client.meta.endpoint_url}", self.patience, self.poll)

    def _listed(self, desired: str) -> list[str]:
        question = {"cluster": self.cluster, "startedBy": self.token, "desiredStatus": desired}
        return self.ask(lambda: self.client.list_tasks(**question))["taskArns"]

    def _described(self, arn: str) -> dict[str, Any]:
        found = self.client.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"]
        if not found:
            raise NotVisible(f"it does not know task {arn}")
        return found[0]


def passes(error: Exception) -> bool:
    """Whether the same request may be granted later."""
    if lacks_room(error) or isinstance(error, NotVisible | Unreachable | HTTPClientError):
        return True
    if not isinstance(error, ClientError):
        return False
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or status == 429 or "Throttl" in code or "Rate exceeded" in str(error)


def lacks_room(error: Exception) -> bool:
    """Whether ECS would, if it had room: it says so in an error, or in one of RunTask's `failures`."""
    said = in_words(error)
    return CAPACITY in said or (isinstance(error, EcsOperatorError) and said.startswith(("RESOURCE", "AGENT")))


def in_words(error: Exception) -> str:
    """What went wrong, without a full stop; the reasons of a refused RunTask, not all of its response."""
    if isinstance(error, EcsOperatorError):
        return ", ".join(failure.get("reason", "no reason given") for failure in error.failures)
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return f"{error.operation_name} was answered {told['Code']}: {told['Message']}".rstrip(".")
    return str(error).rstrip(".")
