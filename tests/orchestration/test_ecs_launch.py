"""One launch, whatever ECS does meanwhile: each fault is ordered from the proxy, and the real operator meets it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from harness.ecs import Stage
from harness.fault_kinds import Kind
from local import provision
from local.processes.children import free_port
from orchestration.ecs_launch import Launch
from orchestration.ecs_operator import JobLog, RatchetJobOperator


@pytest.mark.parametrize("honours_tokens", [True, False])
@pytest.mark.parametrize("do", ["manifest", "fail"])
def test_a_lost_answer_to_run_task_launches_nothing_twice(stage: Stage, honours_tokens: bool, do: str) -> None:
    """The request was carried out: the task is found by `startedBy`, whether it still runs or has ended."""
    stage.faults.honours_tokens = honours_tokens
    stage.faults.order("RunTask", Kind.LOST)
    if do == "fail":
        with pytest.raises(AirflowException, match="no space left on device"):
            stage.run(do)
    else:
        stage.run(do)
    assert len(stage.tasks) == stage.jobs == 1


def test_a_lost_answer_and_a_list_that_lags_behind_launch_nothing_twice(stage: Stage) -> None:
    """Nobody sees the task, but RunTask comes back with the same token and parameters, and so with the same task."""
    stage.faults.order("RunTask", Kind.LOST)
    stage.faults.order("ListTasks", *[Kind.UNSEEN] * 4)
    stage.run("manifest")
    first, second = stage.faults.launches
    assert first == second
    assert len(stage.tasks) == stage.jobs == 1


def test_a_worker_that_died_before_it_knew_the_task_launches_nothing_twice(stage: Stage) -> None:
    """The next try sees no task yet; its token is that of the first, and other parameters only bring a conflict."""
    stage.do("wait manifest")
    arn = stage.launch_before(boto3.client("ecs"), tags=[{"key": "settings", "value": "since changed"}])
    stage.faults.order("ListTasks", *[Kind.UNSEEN] * 2)
    retry = stage.operator_that_lets_go()
    retry.execute(stage.context)
    assert retry.arn == arn
    assert len(stage.tasks) == stage.jobs == 1


@pytest.mark.parametrize("kind", [Kind.THROTTLED, Kind.UNAVAILABLE, Kind.RESET, Kind.NO_CAPACITY, Kind.NO_ROOM])
def test_what_passes_is_waited_out_with_the_same_token(stage: Stage, kind: Kind) -> None:
    """Twice refused, then granted, within one try."""
    stage.faults.order("RunTask", kind, kind)
    stage.run("manifest")
    assert len(stage.faults.launches) == 3
    assert len({request["clientToken"] for request in stage.faults.launches}) == 1
    assert stage.jobs == 1


@pytest.mark.parametrize(
    ("operation", "kind", "reason"),
    [
        ("RunTask", Kind.NO_ROOM, r"had no prefix for \d+ s: Capacity is unavailable .* Add subnets in other avail"),
        ("RunTask", Kind.THROTTLED, r"did not answer for \d+ s: .*Rate exceeded.* Check AWS_ENDPOINT_URL"),
        ("ListTasks", Kind.UNAVAILABLE, r"ECS at http://127.0.0.1:\d+ did not answer for \d+ s: .*ServiceUnavailable"),
        ("DescribeTasks", Kind.RESET, r"did not answer for .* A task that was launched is found by the next try"),
    ],
)
def test_patience_ends_with_a_reason_to_act_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: str, kind: Kind, reason: str
) -> None:
    """Airflow's own retries take over from there."""
    monkeypatch.setenv("RATCHET_ECS_PATIENCE_SECONDS", "1")
    stage.faults.order(operation, *[kind] * 50)
    with pytest.raises(AirflowException, match=reason) as failure:
        stage.run("manifest")
    assert not isinstance(failure.value, AirflowFailException)


def test_a_request_that_is_wrong_is_not_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task definition that is not there now is not there in ten minutes, either."""
    monkeypatch.setenv("RATCHET_ECS_TASK_DEFINITION", "misspelled")
    with pytest.raises(AirflowFailException, match=r"refused: .*Unable to find task definition: misspelled\. Mend"):
        stage.run("manifest")
    assert len(stage.faults.launches) == 1


def test_a_look_that_fails_neither_fails_nor_stops_the_job(stage: Stage) -> None:
    """The stock operator stops the task when DescribeTasks is throttled."""
    every_kind = (Kind.THROTTLED, Kind.UNAVAILABLE, Kind.RESET, Kind.LOST, Kind.CUT)
    stage.faults.order("DescribeTasks", *every_kind)
    stage.run("manifest")
    assert sum(stage.faults.injected.values()) == len(every_kind)
    assert stage.tasks[0]["stopCode"] == "EssentialContainerExited"


@pytest.mark.parametrize("kind", [Kind.NO_STREAM, Kind.UNAVAILABLE, Kind.RESET, Kind.CUT])
def test_no_trouble_with_the_log_fails_a_job(stage: Stage, kind: Kind) -> None:
    """A stream that is missing and a CloudWatch that is down cost the log, not the result."""
    stage.faults.order("GetLogEvents", *[kind] * 200)
    assert stage.run("manifest")["job"] == "featurize"
    assert stage.faults.injected["GetLogEvents", kind] > 0


def test_the_log_is_asked_for_again_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock fetcher's thread dies of an endpoint where nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    relay = JobLog(
        aws_conn_id=None,
        region_name=None,
        log_group=provision.LOG_GROUP,
        log_stream_name="ecs/training/id",
        fetch_interval=timedelta(seconds=0.1),
        logger=logging.getLogger("relay"),
    )
    relay.start()
    deadline = time.monotonic() + 60
    while caplog.text.count("CloudWatch did not give the log") < 2 and relay.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert relay.is_alive()
    relay.stop()
    relay.join()


def test_a_job_fails_with_its_own_reason_where_the_log_is_missing(stage: Stage) -> None:
    """Its exit code still decides whether it is tried again."""
    stage.faults.order("GetLogEvents", *[Kind.RESET] * 200)
    with pytest.raises(AirflowFailException, match=r"exit code 3. Its last words:\n\(CloudWatch did not give the log"):
        stage.run("refuse")


def test_a_job_stopped_from_outside_is_not_green_though_ecs_reports_0(stage: Stage) -> None:
    """The emulator's StopTask leaves exit code 0 behind."""
    stage.faults.order("RunTask", Kind.STOPPED)
    with pytest.raises(AirflowException, match="was stopped from outside: Stopped by somebody"):
        stage.run("wait manifest")
    assert stage.tasks[0]["containers"][0]["exitCode"] == 0


def test_a_job_out_of_memory_is_not_green(stage: Stage) -> None:
    """Exit code 137 and nothing else is all that some platforms say."""
    with pytest.raises(AirflowException, match=r"exit code 137.*for want of memory"):
        stage.run("starve")


def test_spot_twice_then_on_demand(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three within one try, each with a token of its own."""
    monkeypatch.setenv("RATCHET_ECS_SPOT", "true")
    stage.faults.order("RunTask", Kind.INTERRUPTED, Kind.INTERRUPTED)
    stage.run("manifest")
    asked = stage.faults.launches
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert [request.get("capacityProviderStrategy") for request in asked] == [spot, spot, None]
    assert [request.get("launchType") for request in asked] == [None, None, "FARGATE"]
    assert len({request["clientToken"] for request in asked}) == 3
    assert len(stage.tasks) == 3


def test_a_third_interruption_ends_the_try(stage: Stage) -> None:
    """Whatever interrupts a task on demand is for Airflow's retries, not for ever for ours."""
    stage.faults.order("RunTask", *[Kind.INTERRUPTED] * 3)
    with pytest.raises(AirflowException, match="was interrupted: Your Spot Task was interrupted"):
        stage.run("manifest")
    assert len(stage.faults.launches) == 3


def test_a_task_that_was_accepted_but_not_placed_is_launched_again(stage: Stage) -> None:
    """Fargate may find out only afterwards that there is no prefix."""
    stage.faults.order("RunTask", Kind.NOT_PLACED, Kind.NOT_PLACED)
    stage.run("manifest")
    assert len({request["clientToken"] for request in stage.faults.launches}) == 3


def test_killing_the_airflow_task_stops_its_ecs_task(stage: Stage) -> None:
    """One lost request is not taken for an answer."""

    class Killed(RatchetJobOperator):
        def _get_task_log_fetcher(self):
            self.on_kill()
            return super()._get_task_log_fetcher()

    stage.faults.order("StopTask", Kind.RESET, Kind.THROTTLED)
    stage.do("wait manifest")
    with pytest.raises(AirflowException, match="The Airflow task was stopped or ran out of time"):
        stage.operator(Killed).execute(stage.context)
    assert stage.tasks[0]["lastStatus"] == "STOPPED"


def test_a_client_token_says_after_which_tasks_and_is_never_used_again() -> None:
    """ECS remembers a token for an hour after its task has ended, and so long it lists the task."""

    def token(*ended: str) -> str:
        return Launch(None, provision.CLUSTER, "a" * 32, 0, 0, dict.fromkeys(ended)).client_token

    history = [token(), token("first"), token("first", "second"), token("second")]
    assert len(set(history)) == 4
    assert token("first", "second") == token("second", "first")
    assert all(len(each) <= 64 for each in history)
