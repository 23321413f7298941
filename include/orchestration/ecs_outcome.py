"""Decides by the description of a stopped ECS task whether its job succeeded, and if not, whether to try again.

The exit code alone is not enough: a task that was stopped from outside can have exit code 0, or none at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ratchet.errors import NEEDS_A_PERSON

SIGKILL_EXIT_CODE = 137
CAPACITY_MESSAGE = "Capacity is unavailable"
"""The beginning of ECS's message about a lack of capacity, in an error, in a failure and in a stopped task's reason."""


class LostTask(AirflowException):
    """ECS took the task away or never placed it. The job is launched again within the same Airflow try."""


class SpotInterrupted(LostTask):
    """Spot took its capacity back."""


class NotPlaced(LostTask):
    """ECS accepted the task, but had no capacity for it."""


def raise_for_outcome(task: dict[str, Any], container: str, log_tail: Callable[[], str]) -> None:
    """Raise unless the task ended by itself and the named container has exit code 0.

    `task` is an element of DescribeTasks' `tasks`; `log_tail` fetches the end of the job's log.

    Raises LostTask if the job is to be launched again at once, AirflowFailException if a person has to act first, and
    AirflowException if another try may succeed.
    """
    arn, stop, why = task["taskArn"], task.get("stopCode") or "", task.get("stoppedReason") or "no reason given"
    ours: dict[str, Any] = next((each for each in task["containers"] if each["name"] == container), {})
    code, message = ours.get("exitCode"), ours.get("reason") or ""
    if is_spot_interruption(task):
        raise SpotInterrupted(f"Task {arn} was interrupted: {why}")
    if CAPACITY_MESSAGE in why:
        raise NotPlaced(f"Task {arn} was not placed: {why}")
    if stop == "UserInitiated":
        raise AirflowException(
            f"Task {arn} was stopped from outside: {why}. StopTask in CloudTrail names who stopped it."
        )
    if stop == "TaskFailedToStart":
        raise AirflowException(
            f"Task {arn} could not start: {why}. Check image, secrets, roles and network of its task definition."
        )
    if stop not in {"", "EssentialContainerExited"}:
        raise AirflowException(f"Task {arn} was stopped by ECS ({stop}): {why}. The next try launches it again.")
    if "OutOfMemory" in message:
        raise AirflowFailException(f"Task {arn} ran out of memory: {message}. Give its task definition more memory.")
    if code == SIGKILL_EXIT_CODE:
        raise AirflowException(
            f"Task {arn} was killed (exit code {code}), most likely because it ran out of memory. If that repeats, "
            f"give its task definition more memory. The end of its log:\n{log_tail()}"
        )
    if code is None:
        raise AirflowException(
            f"Task {arn} ended without an exit code: {message or why}. The next try launches it again."
        )
    if code:
        kind = AirflowFailException if code in NEEDS_A_PERSON else AirflowException
        raise kind(f"Task {arn} failed with exit code {code}. The end of its log:\n{log_tail()}")


def is_spot_interruption(task: dict[str, Any]) -> bool:
    """Whether Spot stopped the task. Older platform versions say so in the reason only."""
    return task.get("stopCode") == "SpotInterruption" or "Spot Task was interrupted" in (
        task.get("stoppedReason") or ""
    )
