"""A stopped task has succeeded only if it ended by itself with exit code 0; other outcomes raise what to do."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration.ecs_outcome import NotPlaced, SpotInterrupted, raise_for_outcome

OOM = "OutOfMemoryError: Container killed due to memory usage"
BY_ITSELF = "EssentialContainerExited"


def end(stop: str = BY_ITSELF, code: int | None = 0, why: str = "Essential container exited", reason: str = "") -> None:
    job = {"name": "training", "exitCode": code, "reason": reason}
    sidecar = {"name": "sidecar", "exitCode": 1}
    raise_for_outcome(
        {"taskArn": "arn:task", "stopCode": stop, "stoppedReason": why, "containers": [sidecar, job]},
        "training",
        lambda: "no space left",
    )


def test_a_job_with_exit_code_0_has_succeeded_for_any_exit_code_of_the_sidecar() -> None:
    """ECS kills the other containers after the essential one has exited."""
    end()


@pytest.mark.parametrize(
    ("outcome", "kind", "message"),
    [
        ({"stop": "UserInitiated"}, AirflowException, "stopped from outside.*CloudTrail"),
        ({"stop": "UserInitiated", "code": 137, "reason": OOM}, AirflowException, "stopped from outside"),
        ({"stop": "SpotInterruption"}, SpotInterrupted, "was interrupted"),
        ({"stop": "TerminationNotice", "why": "Your Spot Task was interrupted."}, SpotInterrupted, "was interrupted"),
        (
            {"stop": "TerminationNotice", "why": "maintenance"},
            AirflowException,
            "stopped by ECS.*maintenance.*next try",
        ),
        ({"stop": "TaskFailedToStart", "why": "Capacity is unavailable at this time"}, NotPlaced, "was not placed"),
        ({"stop": "TaskFailedToStart", "why": "CannotPullContainerError"}, AirflowException, "CannotPull.*Check image"),
        ({"code": 137, "reason": OOM}, AirflowFailException, "ran out of memory.*more memory"),
        ({"code": 137}, AirflowException, "137.*ran out of memory.*no space left"),
        ({"code": None, "reason": "CannotStartContainerError"}, AirflowException, "without an exit code: CannotStart"),
        ({"code": 1}, AirflowException, "exit code 1.*no space left"),
        ({"code": 2}, AirflowFailException, "exit code 2.*no space left"),
    ],
)
def test_every_other_outcome_raises_with_a_reason(outcome: dict[str, Any], kind: type[Exception], message: str) -> None:
    """This holds with exit code 0 too; only an error that a retry would repeat is an AirflowFailException."""
    with pytest.raises(AirflowException, match=f"(?s){message}") as failure:
        end(**outcome)
    assert type(failure.value) is kind
