"""The part of Airflow's REST API that running a week needs."""

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
    """The API server of a stack, logged in as its administrator."""

    http: httpx.Client

    @classmethod
    def of(cls, env: Env) -> Airflow:
        """Log in. Raises ServiceUnavailable if it does not respond, ConfigurationError for a wrong password."""
        login = {"username": "admin", "password": env["AIRFLOW_ADMIN_PASSWORD"]}
        # While it restarts, an API server refuses connections for some seconds.
        client = httpx.Client(base_url=env.urls["airflow"], timeout=30, transport=httpx.HTTPTransport(retries=5))
        airflow = cls(client)
        token = airflow.call("POST", "/auth/token", json=login)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        return airflow

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a response; None if it has no body.

        Raises ServiceUnavailable without a response or for a 5xx, and ConfigurationError for a 4xx, with Airflow's
        message.
        """
        try:
            response = self.http.request(method, path, **request)
        except httpx.TransportError as error:
            message = str(error).rstrip(".")
            raise ServiceUnavailable(
                f"Airflow at {self.http.base_url} did not respond: {message}. Run `make doctor` to see what is down."
            ) from error
        if response.is_server_error:
            raise ServiceUnavailable(
                f"Airflow responded {response.status_code} to {method} {path}: {response.text[:300]}"
            )
        if response.is_client_error:
            raise ConfigurationError(f"Airflow refused {method} {path}: {response.status_code} {response.text[:300]}")
        return response.json() if response.content else None

    def has_parsed_dag(self) -> bool:
        """Whether the DAG processor has parsed the release."""
        return any(dag["dag_id"] == DAG_ID for dag in self.call("GET", "/api/v2/dags")["dags"])

    def unpause(self) -> None:
        """Let the DAG run."""
        self.call("PATCH", f"/api/v2/dags/{DAG_ID}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(self, run_id: str, logical_date: datetime, params: dict[str, Any]) -> None:
        """Trigger a DAG run; of an existing run that failed, clear the failed tasks instead."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns"
        known = self.call("GET", path, params={"run_id_pattern": run_id})["dag_runs"]
        for run in known:
            if run["dag_run_id"] == run_id and run["state"] == "failed":
                clear = {"dry_run": False, "only_failed": True, "run_on_latest_version": True}
                self.call("POST", f"{path}/{run_id}/clear", json=clear)
        if not any(run["dag_run_id"] == run_id for run in known):
            new = {"dag_run_id": run_id, "logical_date": logical_date.isoformat(), "conf": params}
            self.call("POST", path, json=new)

    def run(self, run_id: str) -> dict[str, Any]:
        """A DAG run as Airflow describes it."""
        found: dict[str, Any] = self.call("GET", f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}")
        return found

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run; each map index of a mapped task is one."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self.call("GET", path, params={"limit": 200})["task_instances"]
        return found

    def week(self, number: int, run_id: str) -> WeekRun:
        """The progress of a week's DAG run."""
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
