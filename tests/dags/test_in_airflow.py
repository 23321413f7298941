"""A real Airflow passes a person's response to `ratchet promote`, and failures to SNS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.project import PROJECT
from local.processes import postgres


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Six DAG runs in one process, because its first task alone takes Airflow 12 seconds."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test alone",
        "RATCHET_STORE": str(home / "store"),
        "PYTHONPATH": str(PROJECT / "include"),
    }
    command = [sys.executable, str(Path(__file__).with_name("airflow_runs.py"))]
    with postgres.running(home / "postgres") as databases:  # two threads write, for which SQLite has one lock
        env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = databases["airflow"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_without_required_approval_there_is_no_response(runs: dict[str, Any]) -> None:
    """`promote` gets a window and empty text, which is no response."""
    week = runs["no approval"]
    assert (week["state"], week["states"]["training.approve"]) == ("success", "skipped")
    assert week["arguments"] == [{"window": "0-0", "response": "", "by": "", "at": ""}]


@pytest.mark.parametrize(
    ("name", "response", "by"), [("rejected", "reject", "jane"), ("approved", "approve", "Zoë {{ ti }} --force")]
)
def test_either_response_reaches_the_promotion_with_name_and_time(
    runs: dict[str, Any], name: str, response: str, by: str
) -> None:
    """A rejection is no reason to skip the job that records it, and a name is not a template."""
    week = runs[name]
    assert (week["state"], week["states"]["training.approve"]) == ("success", "success")
    (arguments,) = week["arguments"]
    assert (arguments["response"], arguments["by"]) == (response, by)
    assert datetime.fromisoformat(arguments["at"]).utcoffset().total_seconds() == 0


def test_an_approval_without_a_response_fails_the_run_with_one_message(runs: dict[str, Any]) -> None:
    """Nothing is decided, and the message has the reason."""
    week = runs["no response"]
    assert (week["state"], week["arguments"]) == ("failed", [])
    (message,) = week["messages"]
    assert message.startswith("Ratchet: training.approve failed in review_sentiment\n")
    assert "No person responded within 6 days" in message


def test_mapped_tasks_and_their_run_fail_with_one_message(runs: dict[str, Any]) -> None:
    """Two candidates lost S3, each in its own words, and so the run failed: one cause."""
    (message,) = runs["failed"]["messages"]
    assert runs["failed"]["state"] == "failed"
    assert "Ratchet: training.train failed in review_sentiment\n" in message
    assert "lost S3" in message


def test_a_run_that_was_cleared_and_fails_again_publishes_again(runs: dict[str, Any]) -> None:
    """It is the same DAG run, and another attempt."""
    assert runs["cleared"]["run"] == runs["failed"]["run"]
    assert len(runs["cleared"]["messages"]) == 1
