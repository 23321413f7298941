"""Retrain review sentiment every week, on all batches so far, and promote only on evidence.

The last lines are the graph. Every task with a `job` is one ECS task on the training image; the other tasks choose.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from orchestration import callbacks
from orchestration.approval import AskForApproval
from orchestration.ecs_operator import RatchetJobOperator
from orchestration.week_plan import CHAMPIONS, SQL, NoNewBatch, plan, unfeaturized
from ratchet.candidates import CANDIDATES
from ratchet.settings import Settings

PARAMS = {
    "window_end": Param(
        None, type=["null", "integer"], minimum=0, title="Window end",
        description="The last batch to train on. Empty: the week of the logical date, or else the next week.",
    ),
    "candidate": Param(
        CHAMPIONS, enum=[CHAMPIONS, *CANDIDATES], title="Candidate",
        description="The kind of model to retrain. Week 0 always compares all of them.",
    ),
    "force_retrain": Param(
        False, type="boolean", title="Force retrain",
        description="Train, evaluate and decide even if the results stand or no new batch has arrived.",
    ),
    "require_approval": Param(
        False, type="boolean", title="Require approval",
        description="Wait for a person to approve or reject. An approval does not promote what the gate refuses.",
    ),
}  # fmt: skip
FORCE = "{{ params.force_retrain }}"
WEEK = "{{ ti.xcom_pull('plan_week')['%s'] }}"
WINDOW, BATCH, DELIVERY, CANDIDATE = (WEEK % name for name in ("window", "batch", "delivery", "candidate"))


@task
def plan_week() -> dict[str, Any]:
    """The window that this run trains on. Skips the run, with the reason, if its batch has not arrived."""
    context = get_current_context()
    try:
        return asdict(plan(dict(context["params"]), context["dag_run"].logical_date, Settings()))
    except NoNewBatch as reason:
        raise AirflowSkipException(str(reason)) from reason


@task
def extract_source(week: dict[str, Any]) -> str:
    """The URI of this week's reviews; a SQL table is copied into the store first."""
    if week["source"] != SQL:
        return str(week["source"])
    from orchestration.sql_extract import extract

    return extract(Settings(), week["delivery"])


@task
def list_missing_features(week: dict[str, Any]) -> list[dict[str, str]]:
    """One entry, and so one ECS task, per batch of the window without features."""
    return unfeaturized(week["window"], Settings())


@task.branch
def choose_section(week: dict[str, Any]) -> str:
    """Train the first champion if there is none; retrain otherwise."""
    return "training.train" if week["first"] else "retraining.score"


@task_group
def data_engineering(week: dict[str, Any]) -> None:
    source: Any = extract_source(week)  # Airflow gives the text when the task runs
    ingest = RatchetJobOperator(
        task_id="ingest", job="ingest", arguments={"source": source, "delivery": DELIVERY}, retries=3
    )
    preprocess = RatchetJobOperator(task_id="preprocess", job="preprocess", arguments={"delivery": DELIVERY})
    split = RatchetJobOperator(
        task_id="split", job="split", arguments={"delivery": DELIVERY, "batches": str(Settings().seed_batches)}
    )
    missing = list_missing_features(week)
    RatchetJobOperator.partial(task_id="featurize", job="featurize").expand(arguments=missing)
    ingest >> preprocess >> split >> missing


def decide(candidates: str) -> RatchetJobOperator:
    """Compare the challenger with the champion, wait for an approval if one is required, and decide."""

    @task.branch
    def check_approval(**context: Any) -> str:
        group = context["ti"].task_id.rpartition(".")[0]
        return f"{group}.{'approve' if context['params']['require_approval'] else 'promote'}"

    evaluate = RatchetJobOperator(
        task_id="evaluate", job="evaluate", arguments={"window": WINDOW, "candidates": candidates}, force=FORCE
    )
    approve = AskForApproval(
        task_id="approve",
        subject=f"May the challenger of window {WINDOW} become champion, if the gate promotes it?",
        response_timeout=timedelta(days=6),
        execution_timeout=None,
        retries=0,  # a second wait would exceed the DAG run's timeout
    )
    promote = RatchetJobOperator(
        task_id="promote", job="promote", arguments={"window": WINDOW, **approve.approval}, force=FORCE,
        trigger_rule="none_failed_min_one_success",
    )  # fmt: skip
    check = check_approval()
    evaluate >> check >> [approve, promote]
    approve >> promote
    return evaluate


@task_group
def training() -> None:
    train = RatchetJobOperator.partial(task_id="train", job="train", force=FORCE).expand(
        arguments=[{"window": WINDOW, "candidate": name} for name in CANDIDATES]
    )
    train >> decide(",".join(CANDIDATES))


@task_group
def retraining() -> None:
    score = RatchetJobOperator(task_id="score", job="score", arguments={"batch": BATCH})
    train = RatchetJobOperator(
        task_id="train", job="train", arguments={"window": WINDOW, "candidate": CANDIDATE}, force=FORCE
    )
    score >> train >> decide(CANDIDATE)


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * MON", timezone="UTC"),
    start_date=datetime.combine(Settings().first_week, datetime.min.time()),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=7),
    deadline=callbacks.deadline(),
    on_failure_callback=callbacks.notify_run_failed,
    default_args={
        "owner": "ml-platform",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": callbacks.notify_task_failed,
    },
    params=PARAMS,
    tags=["ratchet", "retraining", "weekly"],
    doc_md=__doc__,
)
def review_sentiment() -> None:
    week: Any = plan_week()  # Airflow gives the dict when the task runs
    data_engineering(week) >> choose_section(week) >> [training(), retraining()]


review_sentiment()
