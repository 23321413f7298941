"""A task that ended is green only if it ended by itself, with exit code 0; anything else has a reason to act on."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration.ecs_outcome import Interrupted, NotPlaced, judge

OOM = "OutOfMemoryError: Container killed due to memory usage"
BY_ITSELF = "EssentialContainerExited"


def end(stop: str = BY_ITSELF, code: int | None = 0, why: str = "Essential container exited", said: str = "") -> None:
    job = {"name": "training", "exitCode": code, "reason": said}
    sidecar = {"name": "sidecar", "exitCode": 1}
    judge(
        {"taskArn": "arn:task", "stopCode": stop, "stoppedReason": why, "containers": [sidecar, job]},
        "training",
        lambda: "the last words",
    )


def test_a_job_that_ended_well_is_green_whatever_became_of_its_sidecar() -> None:
    """ECS kills the other containers once the essential one has exited."""
    end()


@pytest.mark.parametrize(
    ("ending", "kind", "reason"),
    [
        ({"stop": "UserInitiated"}, AirflowException, "stopped from outside.*CloudTrail"),
        ({"stop": "UserInitiated", "code": 137, "said": OOM}, AirflowException, "stopped from outside"),
        ({"stop": "SpotInterruption"}, Interrupted, "was interrupted"),
        ({"stop": "TerminationNotice", "why": "Your Spot Task was interrupted."}, Interrupted, "was interrupted"),
        ({"stop": "TerminationNotice", "why": "maintenance"}, AirflowException, "ended by ECS.*maintenance.*next try"),
        ({"stop": "TaskFailedToStart", "why": "Capacity is unavailable at this time"}, NotPlaced, "was not placed"),
        ({"stop": "TaskFailedToStart", "why": "CannotPullContainerError"}, AirflowException, "CannotPull.*Check image"),
        ({"code": 137, "said": OOM}, AirflowFailException, "ran out of memory.*more memory"),
        ({"code": 137}, AirflowException, "137.*want of memory.*the last words"),
        ({"code": None, "said": "CannotStartContainerError"}, AirflowException, "without an exit code: CannotStart"),
        ({"code": 1}, AirflowException, "exit code 1.*the last words"),
        ({"code": 2}, AirflowFailException, "exit code 2.*the last words"),
    ],
)
def test_every_other_ending_is_red_with_a_reason(ending: dict, kind: type[Exception], reason: str) -> None:
    """Even with exit code 0; and only what a person must mend is not tried again."""
    with pytest.raises(AirflowException, match=f"(?s){reason}") as failure:
        end(**ending)
    assert type(failure.value) is kind
