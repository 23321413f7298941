"""A job is launched once under every fault of ECS. The proxy injects the fault, and the real operator handles it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from harness.ecs import EcsHarness
from harness.fault_kinds import FaultKind
from local import provision
from local.processes.children import free_port
from orchestration.ecs_launch import Launch
from orchestration.ecs_operator import JobLogFetcher, RatchetJobOperator


@pytest.mark.parametrize("honours_tokens", [True, False])
@pytest.mark.parametrize("behaviour", ["manifest", "fail"])
def test_a_lost_response_to_run_task_launches_nothing_twice(
    ecs: EcsHarness, honours_tokens: bool, behaviour: str
) -> None:
    """The request was carried out: the task is found by `startedBy`, whether it runs or has stopped."""
    ecs.faults.honours_tokens = honours_tokens
    ecs.faults.inject("RunTask", FaultKind.RESPONSE_LOST)
    if behaviour == "fail":
        with pytest.raises(AirflowException, match="no space left on device"):
            ecs.run(behaviour)
    else:
        ecs.run(behaviour)
    assert len(ecs.tasks) == ecs.started_processes == 1


def test_a_lost_response_and_a_list_that_lags_behind_launch_nothing_twice(ecs: EcsHarness) -> None:
    """No list has the task, but RunTask with the same token and parameters returns the same task."""
    ecs.faults.inject("RunTask", FaultKind.RESPONSE_LOST)
    ecs.faults.inject("ListTasks", *[FaultKind.EMPTY_LIST] * 4)
    ecs.run("manifest")
    first, second = ecs.faults.launch_requests
    assert first == second
    assert len(ecs.tasks) == ecs.started_processes == 1


def test_a_worker_that_died_before_it_knew_the_task_launches_nothing_twice(ecs: EcsHarness) -> None:
    """The next try finds no task yet; its token is that of the first try, so other parameters cause a conflict."""
    ecs.set_behaviour("wait manifest")
    arn = ecs.launch_as_earlier_try(boto3.client("ecs"), tags=[{"key": "settings", "value": "changed since"}])
    ecs.faults.inject("ListTasks", *[FaultKind.EMPTY_LIST] * 2)
    retry = ecs.operator_that_ends_the_wait()
    retry.execute(ecs.context)
    assert retry.arn == arn
    assert len(ecs.tasks) == ecs.started_processes == 1


@pytest.mark.parametrize(
    "kind",
    [FaultKind.THROTTLED, FaultKind.UNAVAILABLE, FaultKind.RESET, FaultKind.CAPACITY_ERROR, FaultKind.CAPACITY_FAILURE],
)
def test_a_transient_error_is_retried_with_the_same_token(ecs: EcsHarness, kind: FaultKind) -> None:
    """Two refusals and a success, within one try."""
    ecs.faults.inject("RunTask", kind, kind)
    ecs.run("manifest")
    assert len(ecs.faults.launch_requests) == 3
    assert len({request["clientToken"] for request in ecs.faults.launch_requests}) == 1
    assert ecs.started_processes == 1


@pytest.mark.parametrize(
    ("operation", "kind", "reason"),
    [
        (
            "RunTask",
            FaultKind.CAPACITY_FAILURE,
            r"had no capacity for \d+ s: Capacity is unavailable .* Add subnets in other avail",
        ),
        ("RunTask", FaultKind.THROTTLED, r"did not answer for \d+ s: .*Rate exceeded.* Check AWS_ENDPOINT_URL"),
        (
            "ListTasks",
            FaultKind.UNAVAILABLE,
            r"ECS at http://127.0.0.1:\d+ did not answer for \d+ s: .*ServiceUnavailable",
        ),
        ("DescribeTasks", FaultKind.RESET, r"did not answer for .* A task that was launched is found by the next try"),
    ],
)
def test_a_spent_retry_budget_is_an_error_with_a_remedy(
    ecs: EcsHarness, monkeypatch: pytest.MonkeyPatch, operation: str, kind: FaultKind, reason: str
) -> None:
    """Airflow's own retries follow."""
    monkeypatch.setenv("RATCHET_ECS_PATIENCE_SECONDS", "1")
    ecs.faults.inject(operation, *[kind] * 50)
    with pytest.raises(AirflowException, match=reason) as failure:
        ecs.run("manifest")
    assert not isinstance(failure.value, AirflowFailException)


def test_an_invalid_request_is_not_repeated(ecs: EcsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing task definition will still be missing in ten minutes."""
    monkeypatch.setenv("RATCHET_ECS_TASK_DEFINITION", "misspelled")
    with pytest.raises(AirflowFailException, match=r"refused: .*Unable to find task definition: misspelled\. Fix"):
        ecs.run("manifest")
    assert len(ecs.faults.launch_requests) == 1


def test_a_failed_poll_neither_fails_nor_stops_the_job(ecs: EcsHarness) -> None:
    """The stock operator stops the task when DescribeTasks is throttled."""
    every_kind = (
        FaultKind.THROTTLED,
        FaultKind.UNAVAILABLE,
        FaultKind.RESET,
        FaultKind.RESPONSE_LOST,
        FaultKind.RESPONSE_TRUNCATED,
    )
    ecs.faults.inject("DescribeTasks", *every_kind)
    ecs.run("manifest")
    assert sum(ecs.faults.injected.values()) == len(every_kind)
    assert ecs.tasks[0]["stopCode"] == "EssentialContainerExited"


@pytest.mark.parametrize(
    "kind", [FaultKind.NO_LOG_STREAM, FaultKind.UNAVAILABLE, FaultKind.RESET, FaultKind.RESPONSE_TRUNCATED]
)
def test_an_error_of_cloudwatch_does_not_fail_a_job(ecs: EcsHarness, kind: FaultKind) -> None:
    """Without a log stream, or with CloudWatch down, the log is lost but not the result."""
    ecs.faults.inject("GetLogEvents", *[kind] * 200)
    assert ecs.run("manifest")["job"] == "featurize"
    assert ecs.faults.injected["GetLogEvents", kind] > 0


def test_the_log_is_requested_again_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread of the stock fetcher ends with an exception if the endpoint refuses connections."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    fetcher = JobLogFetcher(
        aws_conn_id=None,
        region_name=None,
        log_group=provision.LOG_GROUP,
        log_stream_name="ecs/training/id",
        fetch_interval=timedelta(seconds=0.1),
        logger=logging.getLogger("fetcher"),
    )
    fetcher.start()
    deadline = time.monotonic() + 60
    while (
        caplog.text.count("CloudWatch did not return the log") < 2
        and fetcher.is_alive()
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert fetcher.is_alive()
    fetcher.stop()  # type: ignore[no-untyped-call]  # the provider has no annotation there
    fetcher.join()


def test_a_job_without_a_log_fails_by_its_exit_code(ecs: EcsHarness) -> None:
    """The exit code still decides whether the job is tried again."""
    ecs.faults.inject("GetLogEvents", *[FaultKind.RESET] * 200)
    with pytest.raises(
        AirflowFailException, match=r"exit code 3. The end of its log:\n\(CloudWatch did not return the log"
    ):
        ecs.run("input_error")


def test_a_job_stopped_from_outside_fails_although_its_exit_code_is_0(ecs: EcsHarness) -> None:
    """The emulator reports exit code 0 after StopTask."""
    ecs.faults.inject("RunTask", FaultKind.TASK_STOPPED)
    with pytest.raises(AirflowException, match="was stopped from outside: Stopped by a user"):
        ecs.run("wait manifest")
    assert ecs.tasks[0]["containers"][0]["exitCode"] == 0


def test_a_job_out_of_memory_fails(ecs: EcsHarness) -> None:
    """Some platforms report nothing but exit code 137."""
    with pytest.raises(AirflowException, match=r"exit code 137.*ran out of memory"):
        ecs.run("killed")


def test_a_job_is_launched_twice_on_spot_then_on_demand(ecs: EcsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three launches are within one try, each with its own token."""
    monkeypatch.setenv("RATCHET_ECS_SPOT", "true")
    ecs.faults.inject("RunTask", FaultKind.SPOT_INTERRUPTION, FaultKind.SPOT_INTERRUPTION)
    ecs.run("manifest")
    requests = ecs.faults.launch_requests
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert [request.get("capacityProviderStrategy") for request in requests] == [spot, spot, None]
    assert [request.get("launchType") for request in requests] == [None, None, "FARGATE"]
    assert len({request["clientToken"] for request in requests}) == 3
    assert len(ecs.tasks) == 3


def test_a_third_interruption_ends_the_try(ecs: EcsHarness) -> None:
    """An interruption of a task on demand is left to Airflow's retries."""
    ecs.faults.inject("RunTask", *[FaultKind.SPOT_INTERRUPTION] * 3)
    with pytest.raises(AirflowException, match="was interrupted: Your Spot Task was interrupted"):
        ecs.run("manifest")
    assert len(ecs.faults.launch_requests) == 3


def test_a_task_that_was_accepted_but_not_placed_is_launched_again(ecs: EcsHarness) -> None:
    """Fargate may find out only after it accepted a task that it has no capacity."""
    ecs.faults.inject("RunTask", FaultKind.TASK_NOT_PLACED, FaultKind.TASK_NOT_PLACED)
    ecs.run("manifest")
    assert len({request["clientToken"] for request in ecs.faults.launch_requests}) == 3


def test_killing_the_airflow_task_stops_its_ecs_task(ecs: EcsHarness) -> None:
    """StopTask is retried after a lost request."""

    class Killed(RatchetJobOperator):
        def _get_task_log_fetcher(self) -> JobLogFetcher:
            self.on_kill()
            return super()._get_task_log_fetcher()

    ecs.faults.inject("StopTask", FaultKind.RESET, FaultKind.THROTTLED)
    ecs.set_behaviour("wait manifest")
    with pytest.raises(AirflowException, match="The Airflow task was stopped or ran out of time"):
        ecs.operator(Killed).execute(ecs.context)
    assert ecs.tasks[0]["lastStatus"] == "STOPPED"


def test_a_client_token_depends_on_the_stopped_tasks_and_is_never_used_again() -> None:
    """ECS remembers a token for an hour after its task has stopped, and lists the task for as long."""

    def token(*stopped: str) -> str:
        return Launch(None, provision.CLUSTER, "a" * 32, 0, 0, {arn: {} for arn in stopped}).client_token

    history = [token(), token("first"), token("first", "second"), token("second")]
    assert len(set(history)) == 4
    assert token("first", "second") == token("second", "first")
    assert all(len(each) <= 64 for each in history)
