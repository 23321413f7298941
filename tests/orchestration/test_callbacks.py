"""What is said of a failure or a delay, and what counts as the same cause."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DeadlineReference

from orchestration import callbacks
from orchestration.alerts import Alert
from orchestration.callbacks import deadline, late, tell_late, tell_run, tell_task

RUN = "manual__2026-01-12T00:00:00+00:00"
ECS_SAID = """This task is not in success state - last 10 logs from Cloudwatch:
2026-01-12T00:03:11 [info] job starts
ratchet: features of {batch} cannot be read: S3 did not answer after 8 tries"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Alert]:
    """Alerts in the order in which they were told."""
    alerts: list[Alert] = []
    monkeypatch.setattr(callbacks, "tell", alerts.append)
    return alerts


def failure(error: object, *, map_index: int = -1, cleared: int = 0, **arguments: str) -> Any:
    """A context as Airflow hands it to the callback of a failed task."""
    ti = SimpleNamespace(
        dag_id="review_sentiment", run_id=RUN, task_id="data_engineering.featurize", map_index=map_index, try_number=3
    )
    return {
        "ti": ti,
        "task": SimpleNamespace(arguments=arguments),
        "dag": SimpleNamespace(dag_id=ti.dag_id),
        "dag_run": SimpleNamespace(clear_number=cleared),
        "run_id": RUN,
        "exception": error,
    }


def causes(alerts: list[Alert]) -> set[tuple[str, str]]:
    return {(alert.run, alert.cause) for alert in alerts}


def test_a_failed_task_says_what_where_why_and_what_to_do(told: list[Alert], monkeypatch: pytest.MonkeyPatch) -> None:
    """A person on call knows what to do before opening a browser; the link leads to the DAG run."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    tell_task(failure(RuntimeError(ECS_SAID.format(batch="batch_01")), batch="batch_01"))
    (alert,) = told
    assert alert.subject == "Ratchet: data_engineering.featurize failed in review_sentiment"
    assert alert.body.splitlines() == [
        "data_engineering.featurize failed on try 3.",
        "",
        f"Where:  review_sentiment, {RUN}",
        "Why:    features of batch_01 cannot be read: S3 did not answer after 8 tries",
        "Do:     Mend the cause, then clear the task; what stands is kept.",
        "See:    https://airflow.example/dags/review_sentiment/runs/manual__2026-01-12T00%3A00%3A00%2B00%3A00",
    ]


def test_mapped_tasks_that_fail_of_the_same_are_one_cause(told: list[Alert]) -> None:
    """Ten batches in one outage are one message, although each names its own batch; another reason is another."""
    for number in range(10):
        batch = f"batch_{number:02d}"
        tell_task(failure(RuntimeError(ECS_SAID.format(batch=batch)), map_index=number, batch=batch))
    tell_task(failure(RuntimeError(ECS_SAID.format(batch="test")), map_index=10, batch="test"))
    assert len(causes(told)) == 1
    tell_task(failure(RuntimeError("ratchet: no space left on device"), batch="batch_03"))
    assert len(causes(told)) == 2


def test_what_fails_again_after_it_was_cleared_is_told_again(told: list[Alert]) -> None:
    """Somebody believed it mended, and must hear that it is not."""
    tell_task(failure(RuntimeError("no space left on device")))
    tell_task(failure(RuntimeError("no space left on device"), cleared=1))
    assert len(causes(told)) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [(None, "killed, out of memory, or its worker was lost"), (TimeoutError(), "TimeoutError"), ("denied", "denied")],
)
def test_every_failure_has_a_reason(told: list[Alert], error: object, words: str) -> None:
    """An error without words is named, and where a process left none, that is said."""
    tell_task(failure(error))
    assert words in told[0].body


def test_a_failed_run_is_covered_by_what_its_task_told_and_a_late_one_is_not(told: list[Alert]) -> None:
    """The same attempt names both, so that the second is known to be about the first."""
    tell_task(failure(RuntimeError("no space left on device")))
    for word in ("task_failure", "timed_out"):
        tell_run({**failure(None), "reason": word})
    assert len({alert.run for alert in told}) == 1
    assert [alert.covered for alert in told] == [False, True, False]
    assert "data_engineering.featurize failed, and its own message did not get out" in told[1].body
    assert told[2].subject == "Ratchet: a run of review_sentiment failed (timed out)"


def test_a_failed_run_without_a_task_is_told(told: list[Alert]) -> None:
    """Airflow gives no more than this where no task is to blame."""
    context = failure(None)
    tell_run({"dag": context["dag"], "run_id": RUN, "reason": "all_tasks_deadlocked"})
    assert "all tasks deadlocked" in told[0].body


def run(state: str) -> dict[str, str]:
    return {"dag_id": "review_sentiment", "dag_run_id": RUN, "state": state}


@pytest.mark.parametrize(
    ("state", "tasks", "subject", "says"),
    [
        ("running", {"retraining.train": "running", "plan_week": "success"}, "is late", "Still at work: retraining.tr"),
        ("running", {"plan_week": "success"}, "is late", "the scheduler may be down"),
        ("running", {"retraining.approve": "awaiting_input"}, "is waiting for a person", "retraining.approve asks"),
        ("queued", {}, "has not started", "another run is active"),
    ],
)
def test_a_late_week_says_whom_it_waits_for(state: str, tasks: dict[str, str], subject: str, says: str) -> None:
    """A question that nobody has answered is no breakdown."""
    alert = late(run(state), tasks)
    assert alert.subject == f"Ratchet: a run of review_sentiment {subject}"
    assert says in alert.body
    assert "24 hours beyond what a week usually takes" in alert.body


def test_a_week_that_ended_is_not_told_late(told: list[Alert]) -> None:
    """Airflow keeps the deadline of a failed run; its failure has been told."""
    for state in ("failed", "success"):
        asyncio.run(tell_late({"dag_run": run(state)}))
    assert told == []


def test_the_deadline_is_a_day_and_its_callback_is_one_for_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its path, in a process that has not parsed the DAG."""
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", "arn:aws:sns:us-east-1:000000000000:alerts")
    alert = deadline()
    assert alert.reference == DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1)
    assert alert.interval.total_seconds() == 24 * 3600
    assert alert.callback.path == "orchestration.callbacks.tell_late"


def test_there_is_no_deadline_where_nobody_would_hear_of_it_or_airflow_would_break(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`airflow dags test` of 3.3.2 ends a good run of a DAG with a deadline in a traceback."""
    assert deadline() is None
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", "arn:aws:sns:us-east-1:000000000000:alerts")
    monkeypatch.setattr("sys.argv", ["airflow", "dags", "test", "review_sentiment"])
    assert deadline() is None
