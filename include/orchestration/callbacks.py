"""What happens when a task or a week has failed, or is late: one message that says what, where, why, and what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import AsyncCallback, Context, DeadlineAlert, DeadlineReference
from airflow.sdk.configuration import conf

from orchestration.alerts import WORDS, Alert, tell
from orchestration.settings import AlertSettings

MEND = "Mend the cause, then clear the task; what stands is kept."
LATE = timedelta(hours=24)
"""After which a week is late: jobs end in 2 hours at most, so something hangs, and six days are left to mend it."""


def tell_task(context: Context) -> None:
    """A task has used up its tries. Mapped tasks that fail for the same reason are one cause."""
    ti, why = context["ti"], reason(context.get("exception"))
    tell(
        Alert(
            run=_attempt(context),
            cause=f"{ti.task_id}: {_general(why, getattr(context.get('task'), 'arguments', None))}",
            subject=f"Ratchet: {ti.task_id} failed in {ti.dag_id}",
            body=_body(f"{ti.task_id} failed on try {ti.try_number}.", ti.dag_id, ti.run_id, why, MEND),
        )
    )


def tell_run(context: Context) -> None:
    """A DAG run has ended without success: not told again where one of its tasks told why."""
    dag_id, run_id, word = context["dag"].dag_id, context["run_id"], context.get("reason") or "no reason was given"
    ti, covered = context.get("ti"), word == "task_failure"
    why = word.replace("_", " ")
    if ti and covered:
        why = f"{ti.task_id} failed, and its own message did not get out: it was killed, lost its worker, or SNS."
    tell(
        Alert(
            run=_attempt(context),
            cause=f"run: {word}",
            subject=f"Ratchet: a run of {dag_id} failed ({word.replace('_', ' ')})",
            body=_body("The DAG run failed.", dag_id, run_id, why, MEND),
            covered=covered,
        )
    )


def deadline() -> DeadlineAlert | None:
    """Tell when a week takes a day longer than weeks did; without a topic nobody would hear it.

    It is counted from a run's creation by the mean of past runs, so the very first run has none. Counted from the time
    of queueing, as one would, the run could not be cleared any more: Airflow 3.3.2 then answers 500
    (apache/airflow#70368). Nor is there a deadline in `airflow dags test`: in 3.3.2 it breaks at the end of a good run
    (apache/airflow#73428).
    """
    if not AlertSettings().topic or sys.argv[1:3] == ["dags", "test"]:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=1),
        interval=LATE,
        callback=AsyncCallback(tell_late),
        name="a day",
    )


async def tell_late(context: Mapping[str, Any]) -> None:
    """A week is not done in time. Airflow's triggerer runs this, once, with a DAG run as its REST API shows it."""
    from asgiref.sync import sync_to_async

    run = context["dag_run"]
    if run["state"] not in {"queued", "running"}:
        return  # a failure has told already; a week that is done after all needs nobody
    states = await sync_to_async(_states)(run["dag_id"], run["dag_run_id"])
    await sync_to_async(tell)(late(run, states))


def late(run: Mapping[str, Any], states: Mapping[str, str | None]) -> Alert:
    """What to say of a DAG run that is late, by the states of its tasks: who waits for whom."""
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    asking = sorted(task for task, state in states.items() if state == "awaiting_input")
    busy = sorted(task for task, state in states.items() if state in {"running", "queued", "scheduled", "up_for_retry"})
    if asking:
        what, why = "is waiting for a person", f"{', '.join(asking)} asks a question that nobody has answered."
        remedy = "Answer it under “Required Actions”. Without an answer the run fails six days after it asked."
    elif run["state"] == "queued":
        what, why = "has not started", "It is queued: another run is active, the DAG is paused, or no scheduler runs."
        remedy = "Finish the other run (it may wait for a person), or start the scheduler."
    else:
        what, why = "is late", f"Still at work: {', '.join(busy) or 'nothing, so the scheduler may be down'}."
        remedy = "Look at that task's log. If it hangs, stop it; another try goes on from what stands."
    what = f"A run of {dag_id} {what}"
    body = _body(
        f"{what}, {LATE.total_seconds() / 3600:.0f} hours beyond what a week usually takes.",
        dag_id,
        run_id,
        why,
        remedy,
    )
    return Alert(run=f"{dag_id}/{run_id}", cause="deadline", subject=f"Ratchet: {what[0].lower()}{what[1:]}", body=body)


def _states(dag_id: str, run_id: str) -> dict[str, str | None]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_task_states(dag_id, run_ids=[run_id]).get(run_id, {})


def reason(error: BaseException | str | None) -> str:
    """Why a task failed: what the job said of itself, if it did, and else what Airflow or AWS said."""
    if error is None:
        return "It said nothing: killed, out of memory, or its worker was lost."
    text = str(error).strip() or type(error).__name__
    said = re.findall(r"\bratchet: (.+)", text)
    return (said[-1] if said else text)[:WORDS]


def _general(why: str, arguments: Mapping[str, Any] | None) -> str:
    """A reason without what differs between mapped tasks and tries: their arguments, ids and numbers."""
    for value in sorted(map(str, (arguments or {}).values()), key=len, reverse=True):
        why = why.replace(value, "…") if len(value) > 2 else why
    return re.sub(r"\b[0-9a-f]{8}[0-9a-f-]*\b|\d+", "#", why)[:500]


def _attempt(context: Context) -> str:
    """A DAG run between two clearings: what fails again after it was cleared is told again."""
    run = context.get("dag_run")
    return f"{context['dag'].dag_id}/{context['run_id']}/{getattr(run, 'clear_number', None) or 0}"


def _body(what: str, dag_id: str, run_id: str, why: str, remedy: str) -> str:
    address = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    page = f"{address}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
    return f"{what}\n\nWhere:  {dag_id}, {run_id}\nWhy:    {why}\nDo:     {remedy}\nSee:    {page}\n"
