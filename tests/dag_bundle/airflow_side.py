"""Airflow as its image runs it: a DAG processor follows the releases while DAG runs and their callbacks use old ones.

A test runs this file as a process, with a store's URI and the projects of two releases as arguments. It prints the
releases, the DAG runs and the diary that their code wrote, as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def until(done: Callable[[], object], what: str) -> None:
    """Wait up to a minute for another process. Exits with `what` if `done` stays false."""
    deadline = time.monotonic() + 60
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"Not within a minute: {what}")
        time.sleep(0.1)


def process_dags() -> None:
    """Do what `airflow dag-processor` does."""
    from airflow.dag_processing.manager import DagFileProcessorManager

    sys.stdout = sys.stderr
    DagFileProcessorManager(max_runs=-1).run()  # type: ignore[no-untyped-call]  # Airflow has no annotation there


def main(uri: str, first: Path, second: Path) -> None:
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.callbacks.callback_requests import DagCallbackRequest
    from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
    from airflow.executors.workloads import ExecuteTask
    from airflow.models import DagModel, DagRun
    from airflow.sdk.api.client import Client
    from airflow.sdk.execution_time.supervisor import in_process_api_server, supervise_task
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    from dag_bundle.object_store import open_store
    from dag_bundle.release import release

    def known_dags() -> dict[str, str | None]:
        """The release of each DAG that Airflow knows and does not call stale."""
        with create_session() as session:
            active = select(DagModel.dag_id, DagModel.bundle_version).where(DagModel.is_stale.is_(False))
            return dict(session.execute(active).tuples().all())

    def trigger() -> str:
        run_id = f"run-{time.monotonic_ns()}"
        trigger_dag("weekly", triggered_by=DagRunTriggeredByType.TEST, run_id=run_id)
        return run_id

    def run_task(run_id: str) -> None:
        """Run the task of a DAG run as LocalExecutor does, by a supervisor that forks; the API is in this process."""
        with create_session() as session:
            run = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
            run.state, run.task_instances[0].state = DagRunState.RUNNING, TaskInstanceState.QUEUED
            workload = ExecuteTask.make(run.task_instances[0])
        client = Client(base_url=None, token="", dry_run=True, transport=in_process_api_server().transport)
        client.base_url = "http://in-process.invalid./"
        supervise_task(
            ti=workload.ti,  # type: ignore[arg-type]  # two classes for one thing; Airflow's executors pass this one
            bundle_info=workload.bundle_info, dag_rel_path=workload.dag_rel_path, token="", client=client,
        )  # fmt: skip

    def report_failure(run_id: str) -> None:
        """Report the DAG run as failed, as the scheduler does."""
        with create_session() as session:
            run = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
            request = DagCallbackRequest(
                filepath=run.dag_model.relative_fileloc, bundle_name=run.dag_model.bundle_name,
                bundle_version=run.bundle_version, msg="failed", dag_id=run.dag_id, run_id=run_id,
            )  # fmt: skip
        DatabaseCallbackSink().send(request)

    def diary() -> list[list[str]]:
        path = Path(os.environ["DIARY"])
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    initdb()
    processor = multiprocessing.get_context("fork").Process(target=process_dags, daemon=True)
    processor.start()
    old = release(first, open_store(uri), "first").sha
    until(lambda: known_dags() == {"weekly": old, "retired": old}, "both DAGs of the first release")
    early = trigger()
    new = release(second, open_store(uri), "second").sha
    until(lambda: known_dags() == {"weekly": new}, "the one DAG of the second release")
    late = trigger()
    for act in (run_task, report_failure):
        act(early)
        act(late)
    until(lambda: len(diary()) == 4, "two tasks and two callbacks")
    with create_session() as session:
        pinned = {run.run_id: run.bundle_version for run in session.scalars(select(DagRun))}
    processor.kill()
    print(json.dumps({"old": old, "new": new, "early": early, "late": late, "pinned": pinned, "diary": diary()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
