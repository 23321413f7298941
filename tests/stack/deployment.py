"""The deployment under test, with the queries and actions of the tests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx

from local.compose.airflow import ENDED, Airflow
from local.compose.compose import Compose
from local.environment import replaced_environment
from ratchet.errors import ServiceUnavailable
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings
from ratchet.windows import WEEK
from stack.tap import Tap

PROCESSES = {
    "scheduler": ("airflow-scheduler", re.compile(r"bin/airflow scheduler$")),
    "worker": ("airflow-scheduler", re.compile(r"airflow worker -- (LocalExecutor: )?[0-9a-f-]{36}$")),
    "api-server": ("airflow-api-server", re.compile(r"airflow api_server")),
}
"""The container and the command line of each kind of process. A worker is the process of a task and its parent."""


@dataclass
class Deployment:
    """`tap` sees the requests between Airflow and ECS; `archive` is whether the reviews are real."""

    compose: Compose
    tap: Tap
    output: Path
    archive: bool
    killed: int = 0

    @property
    def airflow(self) -> Airflow:
        """A new login, because a login does not survive every restart of the api-server."""
        return Airflow.of(self.compose.env)

    def aws(self, service: str) -> Any:
        """A client that bypasses the tap."""
        return boto3.client(
            service,
            endpoint_url=self.compose.env.urls["aws"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    @property
    def ledger(self) -> Ledger:
        given: dict[str, Any] = {"ledger": self.compose.env.client_environment["RATCHET_LEDGER"]}
        settings = Settings(**given)
        return Ledger(settings.ledger_url, settings.registered_model)

    def trigger(self, week: int, **params: Any) -> str:
        """Trigger the DAG run of a week; returns its id."""
        first = datetime.combine(Settings().first_week, datetime.min.time(), UTC)
        run_id = f"week_{week}__{first + week * WEEK:%Y-%m-%d}"
        self.airflow.trigger(run_id, first + week * WEEK, params)
        return run_id

    @property
    def next_week(self) -> int:
        """The week after the last decision."""
        return max(int(row.window.rpartition("-")[2]) for row in self.ledger.history() if row.window) + 1

    def until_ended(self, run_id: str, seconds: float) -> str:
        """Wait for the end of a DAG run, through restarts of the api-server; returns its state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                airflow = self.airflow
                while (state := str(airflow.run(run_id)["state"])) not in ENDED and time.monotonic() < deadline:
                    time.sleep(1)
                return state
            except ServiceUnavailable:
                time.sleep(1)
        raise AssertionError(f"{run_id} did not end within {seconds:.0f} s, or Airflow did not answer")

    @property
    def model_versions(self) -> int:
        found = self.mlflow("model-versions/search", filter=f"name='{Settings().registered_model}'")
        return len(found.get("model_versions", []))

    def mlflow(self, route: str, **params: str) -> dict[str, Any]:
        """The response of MLflow's REST API."""
        response = httpx.get(f"{self.compose.env.urls['mlflow']}/api/2.0/mlflow/{route}", params=params, timeout=30)
        content: dict[str, Any] = response.raise_for_status().json()
        return content

    @property
    def storage(self) -> Storage:
        """The store's bucket, without the tap."""
        with replaced_environment(self.compose.env.client_environment):
            return open_storage("s3://ratchet")

    def sha256(self, key: str) -> str:
        return hashlib.sha256(self.aws("s3").get_object(Bucket="ratchet", Key=key)["Body"].read()).hexdigest()

    def ecs_tasks(self) -> list[dict[str, Any]]:
        """Every stopped task that ECS still lists."""
        ecs = self.aws("ecs")
        pages = ecs.get_paginator("list_tasks").paginate(cluster="ratchet", desiredStatus="STOPPED")
        arns = [arn for page in pages for arn in page["taskArns"]]
        chunks = [arns[at : at + 100] for at in range(0, len(arns), 100)]
        return [task for chunk in chunks for task in ecs.describe_tasks(cluster="ratchet", tasks=chunk)["tasks"]]

    def last_log_line(self, task: dict[str, Any]) -> str:
        """The last line of a task's log, where a failed job gives the reason."""
        number = task["taskArn"].rpartition("/")[2]
        stream = {"logGroupName": "/ratchet/jobs", "logStreamName": f"ecs/training/{number}"}
        lines = self.aws("logs").get_log_events(**stream, startFromHead=False)["events"]
        return lines[-1]["message"] if lines else f"there is no log of {task}"

    def dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self.airflow.call("GET", "/api/v2/dags")["dags"]}

    def containers(self) -> list[dict[str, Any]]:
        """Every container of the stack as Docker knows it."""
        ids = self.compose.output("ps", "--all", "--quiet").split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids))
        return found

    def stop_job(self, job: str) -> None:
        """Stop a job's task, as a user does in the ECS console."""
        self.aws("ecs").stop_task(cluster="ratchet", task=self.tap.latest(job), reason="the test")

    def kill_job(self, job: str) -> None:
        """Send SIGKILL to a job's container, as the kernel does when memory runs out; the exit code is 137."""
        label = f"label=com.amazonaws.ecs.task-arn={self.tap.latest(job)}"
        found = subprocess.run(
            ["docker", "ps", "--quiet", "--filter", label], capture_output=True, text=True, check=True
        )
        subprocess.run(["docker", "kill", "--signal", "KILL", found.stdout.strip()], check=True, capture_output=True)

    def log_contains_while_running(self, run_id: str, task: str, text: str) -> bool:
        """Whether Airflow shows a log of the task with this text while the task still runs."""
        path = f"/api/v2/dags/review_sentiment/dagRuns/{run_id}/taskInstances/{task}"
        response = self.airflow.http.get(f"{path}/logs/1", headers={"Accept": "application/json"})
        return text in response.text and self.airflow.call("GET", path)["state"] == "running"

    def kill(self, name: str) -> None:
        """Kill -9, on this machine, every running process of this kind."""
        service, pattern = PROCESSES[name]
        rows = self.compose.output("top", service).splitlines()
        found = [int(row.split()[1]) for row in rows if pattern.search(row.strip())]
        assert found, f"no {name} runs among:\n" + "\n".join(rows)
        for process in found:
            os.kill(process, signal.SIGKILL)
        self.killed += 1


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout
