"""An ECS job runs once, and only its manifest proves that it did. Real operator, real ECS API, real processes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from harness.ecs import Stage
from orchestration.ecs_operator import RatchetJobOperator, launch_token
from orchestration.settings import EcsSettings


def test_a_job_is_launched_and_its_manifest_returned(stage: Stage) -> None:
    """The common case: one task, one manifest, its summary for XCom."""
    assert stage.run("manifest")["prefix"].endswith(f"/{stage.batch}")
    assert stage.jobs == 1


def test_the_task_can_be_found_from_airflow_while_it_runs(stage: Stage) -> None:
    """Its ARN and the link to its page are in XCom before anybody waits for its end."""

    class Watched(RatchetJobOperator):
        def _get_task_log_fetcher(self):
            seen.update(stage.xcom)
            return super()._get_task_log_fetcher()

    seen: dict[str, str] = {}
    stage.do("manifest")
    stage.operator(Watched).execute(stage.context)
    assert seen["ecs_task_arn"] == stage.tasks[0]["taskArn"]
    assert any(key != "ecs_task_arn" and "/tasks/" in value for key, value in seen.items())


def test_a_job_whose_result_stands_is_not_launched(stage: Stage) -> None:
    """The worker died after the task had finished; the retry finds the manifest."""
    assert stage.run("manifest") == stage.run("fail")
    assert stage.jobs == 1


def test_a_job_that_is_on_its_way_is_waited_for(stage: Stage) -> None:
    """The worker died after RunTask; the retry finds its task, waits for it, and launches nothing beside it."""
    stage.do("wait manifest")
    arn = stage.launch_before(stage.ecs)
    retry = stage.operator_that_lets_go()
    retry.execute(stage.context)
    assert retry.arn == arn
    assert stage.jobs == 1


def test_a_job_that_failed_is_launched_again_by_the_next_try(stage: Stage) -> None:
    """A failed task is stopped and without a manifest, so it is not mistaken for a result."""
    with pytest.raises(AirflowException, match=r"exit code 1\. Its last words:\nno space left on device"):
        stage.run("fail")
    stage.run("manifest")
    assert stage.jobs == 2


def test_an_error_that_only_a_person_can_mend_is_not_tried_again(stage: Stage) -> None:
    """An archive that is empty now is empty in half a minute, too."""
    with pytest.raises(AirflowFailException, match="the archive is empty"):
        stage.run("refuse")


def test_exit_code_0_without_a_manifest_is_a_failure(stage: Stage) -> None:
    """Whatever ECS says of the task, the manifest is the proof."""
    with pytest.raises(AirflowException, match="left no manifest"):
        stage.run("nothing")


def test_a_forced_job_runs_although_its_result_stands_but_once_per_run(stage: Stage) -> None:
    """Force means this DAG run wants its own result; a retry of the same run does not want a second one."""
    stage.run("manifest")
    stage.context["ti"].run_id = "another run"
    stage.run("manifest", force="True")
    stage.run("manifest", force="True")
    assert stage.jobs == 1


def test_the_launch_token_is_the_same_for_every_try_and_different_for_everything_else() -> None:
    """It is what ECS and the manifest recognise a launch by, and `startedBy` holds 36 characters."""

    def token(**changes: object) -> str:
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
        return launch_token({"ti": SimpleNamespace(**{**identity, **changes})})

    assert token() == token(try_number=2)
    assert len({token(), token(run_id="s"), token(task_id="u"), token(map_index=0), token(dag_id="e")}) == 5
    assert len(token()) <= 36


def test_the_overrides_carry_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overrides are shown in the ECS console and in CloudTrail."""
    monkeypatch.setenv("RATCHET_LEDGER", "postgresql+psycopg://me:hunter2@db/ratchet")
    operator = RatchetJobOperator(task_id="train", job="train", arguments={"window": "0-1", "candidate": "linear-svc"})
    overrides = operator.overrides_for(SimpleNamespace(run_id="r"), "token", forced=False)
    assert overrides["containerOverrides"][0]["command"] == [
        "train", "--window", "0-1", "--candidate", "linear-svc"
    ]  # fmt: skip
    assert "hunter2" not in str(overrides)


def test_an_argument_without_a_value_is_left_out() -> None:
    """Where nobody was asked, the command says nothing of an answer."""
    operator = RatchetJobOperator(
        task_id="promote", job="promote", arguments={"window": "0-1", "response": "", "by": ""}
    )
    overrides = operator.overrides_for(SimpleNamespace(run_id="r"), "token", forced=False)
    assert overrides["containerOverrides"][0]["command"] == ["promote", "--window", "0-1"]


def test_spot_is_for_fargate_alone() -> None:
    """FARGATE_SPOT beside EC2 would be taken for one or the other by chance."""
    with pytest.raises(ValueError, match="RATCHET_ECS_SPOT is for Fargate"):
        EcsSettings(spot=True, launch_type="EC2")
