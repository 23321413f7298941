"""Airflow's REST API, as far as running a week needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from local.compose.env_file import Env
from local.dag_runs import DAG_ID
from local.progress import WeekRun
from ratchet.errors import ConfigurationError, ServiceUnavailable

ENDED = {"success", "failed"}


@dataclass(frozen=True)
class Airflow:
    """The api-server of a stack, logged in to as its administrator."""

    http: httpx.Client

    @classmethod
    def of(cls, env: Env) -> Airflow:
        """Log in. Raises ServiceUnavailable if nobody answers, ConfigurationError if the password is refused."""
        login = {"username": "admin", "password": env["AIRFLOW_ADMIN_PASSWORD"]}
        # An api-server that restarts refuses connections for some seconds.
        client = httpx.Client(base_url=env.urls["airflow"], timeout=30, transport=httpx.HTTPTransport(retries=5))
        airflow = cls(client)
        token = airflow.call("POST", "/auth/token", json=login)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        return airflow

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON that a route answers. Raises ServiceUnavailable or ConfigurationError with Airflow's own words."""
        try:
            answer = self.http.request(method, path, **request)
        except httpx.TransportError as error:
            said = str(error).rstrip(".")
            raise ServiceUnavailable(
                f"Airflow at {self.http.base_url} did not answer: {said}. `make doctor` says what is up."
            ) from error
        if answer.is_server_error:
            raise ServiceUnavailable(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        if answer.is_client_error:
            raise ConfigurationError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def knows_the_dag(self) -> bool:
        """Whether the DAG processor has read the release."""
        return any(dag["dag_id"] == DAG_ID for dag in self.call("GET", "/api/v2/dags")["dags"])

    def unpause(self) -> None:
        self.call("PATCH", f"/api/v2/dags/{DAG_ID}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(self, run_id: str, logical_date: datetime, params: dict[str, Any]) -> None:
        """Trigger a DAG run; one that was triggered before goes on, and its failed tasks are tried anew."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns"
        known = self.call("GET", path, params={"run_id_pattern": run_id})["dag_runs"]
        for run in known:
            if run["dag_run_id"] == run_id and run["state"] == "failed":
                again = {"dry_run": False, "only_failed": True, "run_on_latest_version": True}
                self.call("POST", f"{path}/{run_id}/clear", json=again)
        if not any(run["dag_run_id"] == run_id for run in known):
            asked = {"dag_run_id": run_id, "logical_date": logical_date.isoformat(), "conf": params}
            self.call("POST", path, json=asked)

    def run(self, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}")

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run, mapped ones each for itself."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
        return self.call("GET", path, params={"limit": 200})["task_instances"]

    def week(self, number: int, run_id: str) -> WeekRun:
        """How far the DAG run of a week is."""
        run, tasks = self.run(run_id), self.tasks(run_id)
        begun = run["start_date"] and datetime.fromisoformat(run["start_date"])
        ended = run["end_date"] and datetime.fromisoformat(run["end_date"])
        active = [task["task_id"] for task in tasks if task["state"] in {"running", "deferred", "awaiting_input"}]
        return WeekRun(
            week=number,
            run_id=run_id,
            state=run["state"],
            seconds=(ended - begun).total_seconds() if begun and ended else 0.0,
            running=active[-1] if active else None,
            skipped=any(task["task_id"] == "plan_week" and task["state"] == "skipped" for task in tasks),
            failed=", ".join(sorted({task["task_id"] for task in tasks if task["state"] == "failed"})) or None,
        )
