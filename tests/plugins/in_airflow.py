"""A real Airflow with the plugin: requests the page in every state of the ledger, and the links of a DAG run.

A test runs this file as a process with the folder of the ledgers. It prints what it got as one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow import plugins_manager
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb
from fastapi.testclient import TestClient

PAGE, API = "/champion/", "/champion/api/decisions"
HTML = {"Accept": "text/html"}


def token(role: str | None, seconds: int = 60) -> str:
    """The token that a user of this role gets at login."""
    user = SimpleAuthManagerUser(username="jane", role=role)
    return get_auth_manager().generate_jwt(user, expiration_time_in_seconds=seconds)


def got(path: str, ledger: str = "full", **options: Any) -> dict[str, Any]:
    """One response of Airflow's app while RATCHET_LEDGER names this ledger."""
    os.environ["RATCHET_LEDGER"] = ledgers[ledger]
    with TestClient(app, cookies=options.pop("cookies", None), follow_redirects=False) as browser:
        response = browser.get(path, **options)
    return {"status": response.status_code, "headers": dict(response.headers), "text": response.text}


def pages() -> dict[str, Any]:
    """The page and its JSON, for all kinds of visitors and ledgers."""
    login = {"username": "jane", "password": json.loads(Path(PASSWORDS).read_text())["jane"]}
    with TestClient(app) as browser:
        bearer = {"Authorization": f"Bearer {browser.post('/auth/token', json=login).json()['access_token']}"}
    session = {"_token": token("viewer")}
    return {
        "no session, page": got(PAGE, headers=HTML),
        "no session, json": got(API),
        "no session, page by a program": got(PAGE),
        "expired, page": got(PAGE, headers=HTML, cookies={"_token": token("viewer", -60)}),
        "forged, page": got(PAGE, headers=HTML, cookies={"_token": token("viewer")[:-8] + "AAAAAAAA"}),
        "forged, json": got(API, cookies={"_token": token("viewer")[:-8] + "AAAAAAAA"}),
        "no rights, page": got(PAGE, headers=HTML, cookies={"_token": token(None)}),
        "no rights, json": got(API, cookies={"_token": token(None)}),
        "documentation": got("/champion/docs", cookies=session),
        "password, page": got(PAGE, headers=HTML | bearer),
        **{
            f"{ledger}, {kind}": got(path, ledger, headers=HTML if kind == "page" else {}, cookies=session)
            for ledger in ledgers
            for kind, path in (("page", PAGE), ("json", API))
        },
    }


def links() -> dict[str, Any]:
    """The links of each task of a finished DAG run, and those of one while it ran, as Airflow's UI requests them."""
    dag = DagBag().get_dag("linked")
    module: Any = sys.modules[type(dag.get_task("train")).__module__]
    headers = {"Authorization": f"Bearer {token('viewer')}"}

    def of(task: str, run: str, index: int = -1) -> dict[str, str]:
        page = f"/api/v2/dags/linked/dagRuns/{run}/taskInstances/{task}/links"
        with TestClient(app, headers=headers) as browser:
            response = browser.get(page, params={"map_index": index})
        found: dict[str, str] = response.raise_for_status().json()["extra_links"]
        return found

    module.read_links = of
    ended = dag.test(logical_date=datetime(2026, 1, 5, tzinfo=UTC))
    tasks = [task for task in dag.task_ids if task != "mapped"]
    return {
        "states": {ti.task_id: ti.state for ti in ended.get_task_instances()},
        "while it ran": module.seen,
        **{task: of(task, ended.run_id) for task in tasks},
        "mapped 1": of("mapped", ended.run_id, 1),
    }


if __name__ == "__main__":
    folder, PASSWORDS = Path(sys.argv[1]), os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    ledgers = {name: f"sqlite:///{folder}/{name}.db" for name in ("empty", "full", "hostile")}
    ledgers["unreachable"] = "postgresql+psycopg://ratchet:hush@127.0.0.1:9/ratchet"
    initdb()
    plugins_manager.ensure_plugins_loaded()
    loaded_late = "orchestration.champion_page" not in sys.modules
    app = create_app(apps="core")
    print(json.dumps({"loaded late": loaded_late, "pages": pages(), "links": links()}))
