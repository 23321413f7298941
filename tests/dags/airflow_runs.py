"""DAG runs of `review_sentiment` in a real Airflow, with people who respond through its REST API.

Prints, as one JSON line, the arguments of `ratchet promote` and the published messages of each run. Only the launch of
ECS tasks and SNS are replaced: plan, branches, approvals, templates and callbacks are Airflow's and ours.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.dag_processing.dagbag import DagBag
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from fastapi.testclient import TestClient

from orchestration import alerts
from orchestration.ecs_operator import RatchetJobOperator

APPROVAL = ["plan_week", *(f"training.{name}" for name in ("evaluate", "check_approval", "approve", "promote"))]
TRAINING = ["plan_week", "training.train"]
Waiting = tuple[str, Any]
"""The run and the id of a task that waits for a person."""

arguments: list[dict[str, str]] = []
messages: list[str] = []
mondays: Iterator[datetime] = (datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=week) for week in range(9))


def launch(operator: RatchetJobOperator, context: Any) -> dict[str, Any]:
    """Replaces the launch of an ECS task: training fails with a message of each candidate, all else succeeds."""
    if operator.job == "promote":
        arguments.append(operator.arguments)
    if operator.job == "train":
        raise AirflowFailException(f"ratchet: {operator.arguments['candidate']} lost S3 after {os.getpid()} ms")
    return {}


def waiting() -> Waiting:
    """The next task that waits for a response."""
    while True:
        with create_session() as session:
            parked = TaskInstance.state == TaskInstanceState.AWAITING_INPUT
            found = session.query(TaskInstance).where(parked).first()
            if found:
                return found.run_id, found.id
        pause.wait(0.1)


def respond(option: str, name: str) -> None:
    """Respond as a person of this name does in the UI."""
    run, _ = waiting()
    person = SimpleAuthManagerUser(username=name, role="op")
    with TestClient(api, headers={"Authorization": f"Bearer {get_auth_manager().generate_jwt(person)}"}) as browser:
        page = f"/api/v2/dags/review_sentiment/dagRuns/{run}/taskInstances/training.approve/-1/hitlDetails"
        browser.patch(page, json={"chosen_options": [option], "params_input": {}}).raise_for_status()


def never_respond() -> None:
    """Let the six days pass, and run the scheduler's check."""
    _, identity = waiting()
    with create_session() as session:
        session.get(TaskInstance, identity).trigger_timeout = datetime(2026, 1, 1, tzinfo=UTC)
    SchedulerJobRunner(Job()).check_awaiting_input_timeouts()


def give_up(failure: threading.ExceptHookArgs) -> None:
    """End the process: a run would wait for ever for a person whose thread has failed."""
    traceback.print_exception(failure.exc_value)
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def meanwhile(person: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=person, daemon=True)
    thread.start()
    yield
    thread.join()


def some(tasks: list[str]) -> DAG:
    """The DAG with some of its tasks; the week is still planned before all of them."""
    subset = dag.partial_subset(tasks, include_upstream=False)
    plan = subset.get_task("plan_week")
    plan.set_downstream([task for task in subset.roots if task is not plan])
    return subset


def run(tasks: list[str], person: Callable[[], None] | None = None) -> dict[str, Any]:
    """One DAG run of some of the tasks; with a person, it requires an approval."""
    arguments.clear()
    messages.clear()
    conf = {"window_end": 0, "require_approval": person is not None}
    with meanwhile(person or (lambda: None)):
        ended = some(tasks).test(logical_date=next(mondays), run_conf=conf)
    return outcome(ended)


def run_again(tasks: list[str]) -> dict[str, Any]:
    """The last DAG run, cleared as in the UI and run once more; `DAG.test` by itself would make a new one."""
    messages.clear()
    with create_session() as session:
        last = session.query(DagRun).order_by(DagRun.id.desc()).first()
        clear_task_instances(last.get_task_instances(session=session), session)
        run_id, when = last.run_id, last.logical_date

    def resumed(*, dag: Any, session: Any, **_: Any) -> DagRun:
        found = session.query(DagRun).where(DagRun.run_id == run_id).one()
        found.state, found.dag = DagRunState.RUNNING, dag
        return found

    with patch("airflow.models.dagrun.get_or_create_dagrun", resumed):
        return outcome(some(tasks).test(logical_date=when))


def outcome(ended: DagRun) -> dict[str, Any]:
    states = {ti.task_id: ti.state for ti in ended.get_task_instances()}
    facts = {"run": ended.run_id, "state": ended.state, "states": states}
    return {**facts, "arguments": list(arguments), "messages": list(messages)}


if __name__ == "__main__":
    threading.excepthook = give_up
    initdb()
    RatchetJobOperator.execute = launch
    alerts.publish = lambda topic, subject, body: messages.append(f"{subject}\n{body}")
    pause, api, dag = threading.Event(), create_app(apps="core"), DagBag().get_dag("review_sentiment")
    os.environ["RATCHET_ALERTS_TOPIC"] = "arn:aws:sns:us-east-1:000000000000:alerts"  # after the DAG: see `deadline()`
    print(
        json.dumps(
            {
                "no approval": run(APPROVAL),
                "rejected": run(APPROVAL, partial(respond, "Reject", "jane")),
                "approved": run(APPROVAL, partial(respond, "Approve", "Zoë {{ ti }} --force")),
                "no response": run(APPROVAL, never_respond),
                "failed": run(TRAINING),
                "cleared": run_again(TRAINING),
            }
        )
    )
