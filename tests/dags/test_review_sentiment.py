"""The DAG's policy and the shape of its graph. Messages name the task and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronDataIntervalTimetable

from harness.project import PROJECT
from ratchet.jobs.catalogue import JOBS

TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(PROJECT / "dags", collect_dags=True)
    assert bag.import_errors == {}
    return bag.dags["review_sentiment"]


def upstream(dag: DAG, task_id: str) -> set[str]:
    return dag.task_dict[task_id].upstream_task_ids


def test_the_graph_is_the_flow_of_the_design(dag: DAG) -> None:
    """Plan, data engineering, one of two sections; in a section, train, evaluate, approve if required, promote."""
    assert upstream(dag, "data_engineering.featurize") == {"data_engineering.list_missing_features"}
    assert upstream(dag, "data_engineering.list_missing_features") == {"data_engineering.split", "plan_week"}
    assert upstream(dag, "data_engineering.split") == {"data_engineering.preprocess"}
    assert upstream(dag, "data_engineering.preprocess") == {"data_engineering.ingest"}
    assert "data_engineering.featurize" in upstream(dag, "choose_section")
    assert upstream(dag, "training.train") == {"choose_section"}
    assert upstream(dag, "retraining.score") == {"choose_section"}
    assert upstream(dag, "retraining.train") == {"retraining.score"}
    for section in ("training", "retraining"):
        assert upstream(dag, f"{section}.evaluate") == {f"{section}.train"}
        assert upstream(dag, f"{section}.check_approval") == {f"{section}.evaluate"}
        assert upstream(dag, f"{section}.promote") == {f"{section}.check_approval", f"{section}.approve"}


def test_the_sections_are_task_groups(dag: DAG) -> None:
    """A reader of the graph sees three boxes."""
    assert set(dag.task_group.children) >= {"data_engineering", "training", "retraining"}


def test_every_ml_step_is_an_ecs_job(dag: DAG) -> None:
    """Airflow decides when; it never touches data."""
    jobs = {task_id for task_id, task in dag.task_dict.items() if task.task_type == "RatchetJobOperator"}
    assert {task_id.rpartition(".")[2] for task_id in jobs} == set(JOBS)


def test_featurizing_and_the_first_training_are_mapped(dag: DAG) -> None:
    """One ECS task per batch, and in week 0 one per candidate."""
    assert [task_id for task_id, task in dag.task_dict.items() if task.is_mapped] == [
        "data_engineering.featurize",
        "training.train",
    ]


def test_it_runs_weekly_one_at_a_time_without_catching_up(dag: DAG) -> None:
    """Two weeks at once would race for the champion; a fresh installation must not start 40 runs."""
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_people_can_see_whose_it_is_and_what_it_does(dag: DAG) -> None:
    """Tags, owner and documentation are there before the first incident."""
    assert dag.tags
    assert dag.doc_md
    assert {task.owner for task in dag.tasks} == {"ml-platform"}


def test_every_param_explains_itself(dag: DAG) -> None:
    """The trigger form is the manual."""
    schemas = {name: dag.params.get_param(name) for name in dag.params}
    assert set(schemas) == {"window_end", "candidate", "force_retrain", "require_approval"}
    assert [name for name, param in schemas.items() if not param.description or not param.schema.get("title")] == []


def test_every_job_ends_in_bounded_time_and_reports_its_failure(dag: DAG) -> None:
    """A task without a timeout could hang for ever without an alert."""
    for task_id, task in dag.task_dict.items():
        if task_id.endswith(".approve"):
            continue  # a person may take six days, see response_timeout
        assert task.execution_timeout, f"give {task_id} an execution_timeout"
        assert task.on_failure_callback, f"give {task_id} the failure callback"


def test_promoting_survives_a_skipped_approval_but_no_failure(dag: DAG) -> None:
    """The branch skips `approve` when no approval is required; a failed evaluation must still stop everything."""
    assert dag.task_dict["retraining.promote"].trigger_rule == "none_failed_min_one_success"


@pytest.mark.parametrize("section", ["training", "retraining"])
def test_promoting_gets_the_response_of_its_own_section(dag: DAG, section: str) -> None:
    """A response is an argument of the job, so that a rejection is recorded like an approval."""
    arguments = dag.task_dict[f"{section}.promote"].arguments
    assert set(arguments) == {"window", "response", "by", "at"}
    for name in ("response", "by", "at"):
        assert arguments[name] == f"{{{{ (ti.xcom_pull('{section}.approve') or {{}}).get('{name}', '') }}}}"


def test_a_late_week_raises_an_alert_where_a_topic_is_set(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline lies before the end of the week, and an approval may take longer."""
    assert dag.deadline is None
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", TOPIC)
    (deadline,) = DagBag(PROJECT / "dags", collect_dags=True).dags["review_sentiment"].deadline
    waits = dag.task_dict["retraining.approve"].response_timeout
    assert deadline.interval < waits < dag.dagrun_timeout


def test_parsing_imports_no_data_library_and_opens_no_connection() -> None:
    """The file is parsed every few seconds on the scheduler's machine."""
    probe = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('network at parse time')\n"
        "socket.socket.connect = refuse\n"
        f"sys.path.insert(0, {str(PROJECT / 'dags')!r})\n"
        "import airflow.sdk, airflow.providers.standard.operators.hitl, time\n"
        "began = time.process_time()\n"
        "import review_sentiment\n"
        "assert time.process_time() - began < 1, 'more than a second of CPU to parse'\n"
        "print(sorted({'pandas', 'sklearn', 'mlflow', 'numpy', 'pyarrow'} & set(sys.modules)))\n"
    )
    env = {**os.environ, "RATCHET_ALERTS_TOPIC": TOPIC}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, env=env)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr
