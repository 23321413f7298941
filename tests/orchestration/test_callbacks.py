"""The message about a failure or a delay, and what counts as the same cause."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DeadlineReference  # type: ignore[attr-defined]  # the stub of 3.3.2 lacks it

from orchestration import callbacks
from orchestration.alerts import Alert
from orchestration.callbacks import deadline, late_alert, notify_run_failed, notify_run_late, notify_task_failed

RUN = "manual__2026-01-12T00:00:00+00:00"
ECS_ERROR = """This task is not in success state - last 10 logs from Cloudwatch:
2026-01-12T00:03:11 [info] job starts
ratchet: features of {batch} cannot be read: S3 did not answer after 8 tries"""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Alert]:
    """The alerts that the callbacks send, in order."""
    alerts: list[Alert] = []
    monkeypatch.setattr(callbacks, "notify", alerts.append)
    return alerts


def failure(error: object, *, map_index: int = -1, cleared: int = 0, **arguments: str) -> Any:
    """A context as Airflow passes it to the callback of a failed task."""
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
    return {(alert.attempt, alert.cause) for alert in alerts}


def test_the_message_has_failure_place_reason_and_remedy(sent: list[Alert], monkeypatch: pytest.MonkeyPatch) -> None:
    """The person on call knows what to do without a browser; the link opens the DAG run."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    notify_task_failed(failure(RuntimeError(ECS_ERROR.format(batch="batch_01")), batch="batch_01"))
    (alert,) = sent
    assert alert.subject == "Ratchet: data_engineering.featurize failed in review_sentiment"
    assert alert.body.splitlines() == [
        "data_engineering.featurize failed on try 3.",
        "",
        f"Where:  review_sentiment, {RUN}",
        "Why:    features of batch_01 cannot be read: S3 did not answer after 8 tries",
        "Do:     Fix the cause, then clear the task; finished results are kept.",
        "See:    https://airflow.example/dags/review_sentiment/runs/manual__2026-01-12T00%3A00%3A00%2B00%3A00",
    ]


def test_mapped_tasks_that_fail_for_the_same_reason_are_one_cause(sent: list[Alert]) -> None:
    """Ten batches in one outage are one cause, although each names its own batch; another reason is another cause."""
    for number in range(10):
        batch = f"batch_{number:02d}"
        notify_task_failed(failure(RuntimeError(ECS_ERROR.format(batch=batch)), map_index=number, batch=batch))
    notify_task_failed(failure(RuntimeError(ECS_ERROR.format(batch="test")), map_index=10, batch="test"))
    assert len(causes(sent)) == 1
    notify_task_failed(failure(RuntimeError("ratchet: no space left on device"), batch="batch_03"))
    assert len(causes(sent)) == 2


def test_a_failure_after_a_clearing_is_reported_again(sent: list[Alert]) -> None:
    """A user who cleared the task believed the cause fixed and must learn that it is not."""
    notify_task_failed(failure(RuntimeError("no space left on device")))
    notify_task_failed(failure(RuntimeError("no space left on device"), cleared=1))
    assert len(causes(sent)) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [(None, "killed, out of memory, or its worker was lost"), (TimeoutError(), "TimeoutError"), ("denied", "denied")],
)
def test_every_failure_has_a_reason(sent: list[Alert], error: object, words: str) -> None:
    """An error without a message is named by its type; a process that left no error gets a reason, too."""
    notify_task_failed(failure(error))
    assert words in sent[0].body


def test_a_run_that_failed_by_a_task_is_reported_only_if_first_and_one_that_timed_out_always(sent: list[Alert]) -> None:
    """Both alerts have the same attempt, so the second is recognised as a consequence of the first."""
    notify_task_failed(failure(RuntimeError("no space left on device")))
    for code in ("task_failure", "timed_out"):
        context = failure(None)
        context["reason"] = code
        notify_run_failed(context)
    assert len({alert.attempt for alert in sent}) == 1
    assert [alert.only_if_first for alert in sent] == [False, True, False]
    assert "data_engineering.featurize failed without a message" in sent[1].body
    assert sent[2].subject == "Ratchet: a run of review_sentiment failed (timed out)"


def test_a_run_that_failed_without_a_task_is_reported(sent: list[Alert]) -> None:
    """Airflow's context has only these fields if no task caused the failure."""
    context = failure(None)
    notify_run_failed({"dag": context["dag"], "run_id": RUN, "reason": "all_tasks_deadlocked"})
    assert "all tasks deadlocked" in sent[0].body


def run(state: str) -> dict[str, str]:
    return {"dag_id": "review_sentiment", "dag_run_id": RUN, "state": state}


@pytest.mark.parametrize(
    ("state", "tasks", "subject", "reason"),
    [
        (
            "running",
            {"retraining.train": "running", "plan_week": "success"},
            "is late",
            "Unfinished tasks: retraining.tr",
        ),
        ("running", {"plan_week": "success"}, "is late", "the scheduler may be down"),
        ("running", {"retraining.approve": "awaiting_input"}, "is waiting for approval", "retraining.approve waits"),
        ("queued", {}, "has not started", "another run is active"),
    ],
)
def test_the_message_about_a_late_run_names_what_it_waits_for(
    state: str, tasks: dict[str, str], subject: str, reason: str
) -> None:
    """A run that waits for approval is reported as such, not as a failure."""
    alert = late_alert(run(state), tasks)
    assert alert.subject == f"Ratchet: a run of review_sentiment {subject}"
    assert reason in alert.body
    assert "24 hours beyond the usual duration" in alert.body


def test_a_run_that_has_ended_is_not_reported_as_late(sent: list[Alert]) -> None:
    """Airflow keeps the deadline of a failed run, but the failure has been reported."""
    for state in ("failed", "success"):
        asyncio.run(notify_run_late({"dag_run": run(state)}))
    assert sent == []


def test_the_deadline_is_a_day_and_its_callback_is_one_for_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggerer finds the callback by its path; it has not parsed the DAG."""
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", "arn:aws:sns:us-east-1:000000000000:alerts")
    alert = deadline()
    assert alert is not None
    assert alert.reference == DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1)
    assert alert.interval.total_seconds() == 24 * 3600
    assert alert.callback.path == "orchestration.callbacks.notify_run_late"


def test_there_is_no_deadline_without_a_topic_or_in_airflow_dags_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`airflow dags test` of 3.3.2 ends a successful run with a traceback if the DAG has a deadline."""
    assert deadline() is None
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", "arn:aws:sns:us-east-1:000000000000:alerts")
    monkeypatch.setattr("sys.argv", ["airflow", "dags", "test", "review_sentiment"])
    assert deadline() is None
