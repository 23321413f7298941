"""What the end of an ECS task means. A description of the task goes in; silence means well, an exception says what not.

Exit codes alone do not tell: a task that was stopped from outside may report 0, or none at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from ratchet.errors import NEEDS_A_PERSON

KILLED = 137
CAPACITY = "Capacity is unavailable"
"""How ECS begins to say so, in an error, in a failure and in the reason of a task that stopped."""


class Lost(AirflowException):
    """ECS took the task away or never placed it. The job is not to blame and is launched again within the same try."""


class Interrupted(Lost):
    """Spot wanted its capacity back."""


class NotPlaced(Lost):
    """The task was accepted, but there was no prefix for it."""


def judge(task: dict[str, Any], container: str, last_words: Callable[[], str]) -> None:
    """Raise unless the task ended by itself and its container, named, with exit code 0.

    Raises Lost where another launch is due at once, AirflowFailException where only a person can mend it, and
    AirflowException where another try may help. `last_words` fetches the end of the job's log.
    """
    arn, stop, why = task["taskArn"], task.get("stopCode") or "", task.get("stoppedReason") or "no reason given"
    ours = next((each for each in task["containers"] if each["name"] == container), {})
    code, said = ours.get("exitCode"), ours.get("reason") or ""
    if was_interrupted(task):
        raise Interrupted(f"Task {arn} was interrupted: {why}")
    if CAPACITY in why:
        raise NotPlaced(f"Task {arn} was not placed: {why}")
    if stop == "UserInitiated":
        raise AirflowException(
            f"Task {arn} was stopped from outside: {why}. If nobody meant to, StopTask in CloudTrail says who it was."
        )
    if stop == "TaskFailedToStart":
        raise AirflowException(
            f"Task {arn} could not start: {why}. Check image, secrets, roles and network of its task definition."
        )
    if stop not in {"", "EssentialContainerExited"}:
        raise AirflowException(f"Task {arn} was ended by ECS ({stop}): {why}. The next try launches it again.")
    if "OutOfMemory" in said:
        raise AirflowFailException(f"Task {arn} ran out of memory: {said}. Give its task definition more memory.")
    if code == KILLED:
        raise AirflowException(
            f"Task {arn} was killed (exit code {KILLED}), most likely for want of memory. If that repeats, give its "
            f"task definition more. Its last words:\n{last_words()}"
        )
    if code is None:
        raise AirflowException(f"Task {arn} ended without an exit code: {said or why}. The next try launches it again.")
    if code:
        kind = AirflowFailException if code in NEEDS_A_PERSON else AirflowException
        raise kind(f"Task {arn} failed with exit code {code}. Its last words:\n{last_words()}")


def was_interrupted(task: dict[str, Any]) -> bool:
    """Whether Spot ended it. Older platforms say so in the reason only."""
    return task.get("stopCode") == "SpotInterruption" or "Spot Task was interrupted" in (
        task.get("stoppedReason") or ""
    )
