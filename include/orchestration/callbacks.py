"""Airflow's callbacks for a failed task, a failed DAG run and a late one.

Each publishes one message with the event, its place, its reason and the remedy.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import (  # type: ignore[attr-defined]  # the stub of 3.3.2 lacks the three names of deadlines
    AsyncCallback,
    Context,
    DeadlineAlert,
    DeadlineReference,
)
from airflow.sdk.configuration import conf

from orchestration.alerts import MAX_REASON, Alert, notify
from orchestration.settings import AlertSettings

REMEDY = "Fix the cause, then clear the task; finished results are kept."
LATE_AFTER = timedelta(hours=24)
"""Over the mean duration of past runs. Jobs end within 2 hours, so something hangs, and six days are left to fix it
before the DAG run times out."""


def notify_task_failed(context: Context) -> None:
    """Report a task that has failed on its last try. Mapped tasks that fail for the same reason are one cause."""
    ti, why = context["ti"], failure_reason(context.get("exception"))
    notify(
        Alert(
            attempt=_attempt(context),
            cause=f"{ti.task_id}: {_generalized(why, getattr(context.get('task'), 'arguments', None))}",
            subject=f"Ratchet: {ti.task_id} failed in {ti.dag_id}",
            body=_body(f"{ti.task_id} failed on try {ti.try_number}.", ti.dag_id, ti.run_id, why, REMEDY),
        )
    )


def notify_run_failed(context: Context) -> None:
    """Report a DAG run that has failed, unless one of its tasks has reported its own failure."""
    dag_id, run_id, code = context["dag"].dag_id, context["run_id"], context.get("reason") or "no reason was given"
    ti, failed_by_task = context.get("ti"), code == "task_failure"
    why = code.replace("_", " ")
    if ti and failed_by_task:
        why = f"{ti.task_id} failed without a message: it was killed, it lost its worker, or SNS did not accept one."
    notify(
        Alert(
            attempt=_attempt(context),
            cause=f"run: {code}",
            subject=f"Ratchet: a run of {dag_id} failed ({code.replace('_', ' ')})",
            body=_body("The DAG run failed.", dag_id, run_id, why, REMEDY),
            only_if_first=failed_by_task,
        )
    )


def deadline() -> DeadlineAlert | None:
    """The deadline of a DAG run: a day beyond the mean duration of past runs; None where no topic is configured.

    It is counted from the creation of the DAG run, and the very first run has none, because there is no mean yet. A
    deadline that is counted from the time of queueing would be simpler, but such a DAG run cannot be cleared: Airflow
    3.3.2 answers 500 (apache/airflow#70368). There is no deadline in `airflow dags test` either: in 3.3.2 it fails at
    the end of a successful run (apache/airflow#73428).
    """
    if not AlertSettings().topic or sys.argv[1:3] == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1),
        interval=LATE_AFTER,
        callback=AsyncCallback(notify_run_late),
        name="a day",
    )


async def notify_run_late(context: Mapping[str, Any]) -> None:
    """Report a DAG run that has missed its deadline.

    Airflow's triggerer calls this once, with the DAG run in the form of its REST API.
    """
    from asgiref.sync import sync_to_async

    run = context["dag_run"]
    if run["state"] not in {"queued", "running"}:
        return  # a failed run has been reported, and a successful one needs no report
    states = await sync_to_async(_task_states)(run["dag_id"], run["dag_run_id"])
    await sync_to_async(notify)(late_alert(run, states))


def late_alert(run: Mapping[str, Any], states: Mapping[str, str | None]) -> Alert:
    """The alert about a late DAG run; the states of its tasks, by task id, show what it waits for."""
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    awaiting = sorted(task for task, state in states.items() if state == "awaiting_input")
    busy = sorted(task for task, state in states.items() if state in {"running", "queued", "scheduled", "up_for_retry"})
    if awaiting:
        what, why = "is waiting for approval", f"{', '.join(awaiting)} waits for a response."
        remedy = "Respond under “Required Actions”. Without a response the task fails six days after it began to wait."
    elif run["state"] == "queued":
        what, why = "has not started", "It is queued: another run is active, the DAG is paused, or no scheduler runs."
        remedy = "Finish the other run (it may wait for approval), or start the scheduler."
    else:
        what, why = "is late", f"Unfinished tasks: {', '.join(busy) or 'none, so the scheduler may be down'}."
        remedy = "Read that task's log. If it hangs, stop it; the next try continues from finished results."
    what = f"A run of {dag_id} {what}"
    body = _body(
        f"{what}, {LATE_AFTER.total_seconds() / 3600:.0f} hours beyond the usual duration.", dag_id, run_id, why, remedy
    )
    subject = f"Ratchet: {what[0].lower()}{what[1:]}"
    return Alert(attempt=f"{dag_id}/{run_id}", cause="deadline", subject=subject, body=body)


def _task_states(dag_id: str, run_id: str) -> dict[str, str | None]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, dict[str, str | None]] = RuntimeTaskInstance.get_task_states(dag_id, run_ids=[run_id])
    return states.get(run_id, {})


def failure_reason(error: BaseException | str | None) -> str:
    """The reason why a task failed: the job's last error message if there is one, else that of Airflow or AWS."""
    if error is None:
        return "It left no message: killed, out of memory, or its worker was lost."
    text = str(error).strip() or type(error).__name__
    messages: list[str] = re.findall(r"\bratchet: (.+)", text)
    return (messages[-1] if messages else text)[:MAX_REASON]


def _generalized(why: str, arguments: Mapping[str, Any] | None) -> str:
    """A reason without what differs between mapped tasks and tries: their arguments, ids and numbers."""
    for value in sorted(map(str, (arguments or {}).values()), key=len, reverse=True):
        why = why.replace(value, "…") if len(value) > 2 else why
    return re.sub(r"\b[0-9a-f]{8}[0-9a-f-]*\b|\d+", "#", why)[:500]


def _attempt(context: Context) -> str:
    """A DAG run between two clearings, so that a failure after a clearing is reported again."""
    run = context.get("dag_run")
    return f"{context['dag'].dag_id}/{context['run_id']}/{getattr(run, 'clear_number', None) or 0}"


def _body(what: str, dag_id: str, run_id: str, why: str, remedy: str) -> str:
    address = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    page = f"{address}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
    return f"{what}\n\nWhere:  {dag_id}, {run_id}\nWhy:    {why}\nDo:     {remedy}\nSee:    {page}\n"
