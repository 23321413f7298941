"""A job runs once, and only its manifest proves its success; with a real operator, ECS API and processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from harness.ecs import EcsHarness
from orchestration.ecs_operator import JobLogFetcher, RatchetJobOperator, launch_token
from orchestration.settings import EcsSettings


def test_a_job_is_launched_and_its_manifest_returned(ecs: EcsHarness) -> None:
    """The common case: one task, one manifest, and its summary for XCom."""
    assert ecs.run("manifest")["prefix"].endswith(f"/{ecs.batch}")
    assert ecs.started_processes == 1


def test_the_task_can_be_found_from_airflow_while_it_runs(ecs: EcsHarness) -> None:
    """Its ARN and the link to its page are in XCom before the operator waits for its end."""

    class Watched(RatchetJobOperator):
        def _get_task_log_fetcher(self) -> JobLogFetcher:
            seen.update(ecs.xcom)
            return super()._get_task_log_fetcher()

    seen: dict[str, str] = {}
    ecs.set_behaviour("manifest")
    ecs.operator(Watched).execute(ecs.context)
    assert seen["ecs_task_arn"] == ecs.tasks[0]["taskArn"]
    assert any(key != "ecs_task_arn" and "/tasks/" in value for key, value in seen.items())


def test_a_job_with_a_valid_result_is_not_launched(ecs: EcsHarness) -> None:
    """The worker died after the task had finished; the retry finds the manifest."""
    assert ecs.run("manifest") == ecs.run("fail")
    assert ecs.started_processes == 1


def test_the_operator_waits_for_a_task_of_an_earlier_try(ecs: EcsHarness) -> None:
    """The worker died after RunTask; the retry finds its task, waits for it, and launches no second one."""
    ecs.set_behaviour("wait manifest")
    arn = ecs.launch_as_earlier_try(ecs.client)
    retry = ecs.operator_that_ends_the_wait()
    retry.execute(ecs.context)
    assert retry.arn == arn
    assert ecs.started_processes == 1


def test_a_job_that_failed_is_launched_again_by_the_next_try(ecs: EcsHarness) -> None:
    """A failed task has no manifest, so it is not mistaken for a result."""
    with pytest.raises(AirflowException, match=r"exit code 1\. The end of its log:\nno space left on device"):
        ecs.run("fail")
    ecs.run("manifest")
    assert ecs.started_processes == 2


def test_an_error_that_a_retry_would_repeat_is_not_tried_again(ecs: EcsHarness) -> None:
    """An empty archive will still be empty in half a minute."""
    with pytest.raises(AirflowFailException, match="the archive is empty"):
        ecs.run("input_error")


def test_exit_code_0_without_a_manifest_is_a_failure(ecs: EcsHarness) -> None:
    """The manifest is the proof of success, not the status of the ECS task."""
    with pytest.raises(AirflowException, match="left no manifest"):
        ecs.run("nothing")


def test_a_forced_job_runs_despite_a_valid_result_once_per_dag_run(ecs: EcsHarness) -> None:
    """With force a DAG run needs its own result; a retry within the same DAG run uses that one."""
    ecs.run("manifest")
    ecs.context["ti"].run_id = "another run"
    ecs.run("manifest", force="True")
    ecs.run("manifest", force="True")
    assert ecs.started_processes == 1


def test_the_launch_token_is_the_same_for_every_try_and_different_for_every_other_task() -> None:
    """ECS and the manifest identify a launch by it, and `startedBy` takes 36 characters."""

    def token(**changes: object) -> str:
        identity: dict[str, Any] = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
        context: Any = {"ti": SimpleNamespace(**{**identity, **changes})}
        return launch_token(context)

    assert token() == token(try_number=2)
    assert len({token(), token(run_id="s"), token(task_id="u"), token(map_index=0), token(dag_id="e")}) == 5
    assert len(token()) <= 36


def test_the_overrides_contain_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ECS console and CloudTrail show overrides."""
    monkeypatch.setenv("RATCHET_LEDGER", "postgresql+psycopg://me:hunter2@db/ratchet")
    operator = RatchetJobOperator(task_id="train", job="train", arguments={"window": "0-1", "candidate": "linear-svc"})
    overrides = operator.overrides_for(SimpleNamespace(run_id="r"), "token", forced=False)
    assert overrides["containerOverrides"][0]["command"] == [
        "train", "--window", "0-1", "--candidate", "linear-svc"
    ]  # fmt: skip
    assert "hunter2" not in str(overrides)


def test_an_argument_without_a_value_is_left_out() -> None:
    """Without an approval, the command has no options about one."""
    operator = RatchetJobOperator(
        task_id="promote", job="promote", arguments={"window": "0-1", "response": "", "by": ""}
    )
    overrides = operator.overrides_for(SimpleNamespace(run_id="r"), "token", forced=False)
    assert overrides["containerOverrides"][0]["command"] == ["promote", "--window", "0-1"]


def test_spot_requires_fargate() -> None:
    """The combination of FARGATE_SPOT and EC2 is ambiguous."""
    with pytest.raises(ValueError, match="RATCHET_ECS_SPOT is for Fargate"):
        EcsSettings(spot=True, launch_type="EC2")
