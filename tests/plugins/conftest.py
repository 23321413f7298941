"""Responses of a real Airflow with our plugins, requested once for all tests: its start takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from harness.ledger import gate_record
from harness.project import PROJECT
from plugins.ten_weeks import write_ten_weeks
from ratchet.ledger.decision import Check, Decision, Verdict
from ratchet.ledger.store import Champion, Ledger

HOSTILE = "<script>alert(1)</script>\"' onload={{ 7 * 7 }}"


@pytest.fixture(scope="session")
def airflow_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow of its own, with our plugins and one user, who may only read."""
    home = tmp_path_factory.mktemp("airflow")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "jane:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test alone",
        "RATCHET_STORE": "s3://a-bucket",
        "RATCHET_TRACKING": "http://ratchet:hush@mlflow.example:5000",
        "PYTHONPATH": str(PROJECT / "include"),
    }


@pytest.fixture(scope="session")
def responses(airflow_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The responses to `in_airflow.py` for ledgers that are empty, full, or full of hostile text."""
    folder = tmp_path_factory.mktemp("ledgers")
    for name, fill in (("full", write_ten_weeks), ("hostile", attack)):
        ledger = Ledger(SecretStr(f"sqlite:///{folder}/{name}.db"), "review-sentiment")
        fill(ledger)
        ledger.engine.dispose()
    command = [sys.executable, str(Path(__file__).with_name("in_airflow.py")), str(folder)]
    done = subprocess.run(command, env=airflow_env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def attack(ledger: Ledger) -> None:
    """A ledger with hostile text in every field that the page shows."""
    record = gate_record(1, HOSTILE)
    verdict = Verdict(promote=False, checks=[Check(name=HOSTILE, passed=False, message=HOSTILE)])
    ledger.record(
        Decision(
            subject="0-0/x", action="promote", version=1, previous=None, window=HOSTILE, candidate=HOSTILE,
            reasons=[HOSTILE, HOSTILE], decided_by=HOSTILE, dag_run=f"../../{HOSTILE}", code_version=HOSTILE,
            gate=record.model_copy(update={"verdict": verdict}),
        ),
        Champion(),
    )  # fmt: skip
