"""What the command line tells: failures for people and for machines, and never a password."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import structlog

from ratchet.cli.app import run_to_exit_code

PASSWORD = "hunter2"


@pytest.fixture
def ratchet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Runs a command line on a fresh store; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ratchet", *arguments])
        try:
            code = run_to_exit_code()
        finally:
            structlog.reset_defaults()
            structlog.contextvars.clear_contextvars()
        return code, *capfd.readouterr()

    return run


def test_a_failed_job_is_an_event_and_a_line(ratchet) -> None:
    """The log has kind and exit code as JSON; standard error has the one line that tools and people read."""
    code, out, err = ratchet("preprocess")
    event = json.loads(out.splitlines()[-1])
    assert (code, event["event"], event["kind"], event["exit_code"]) == (4, "job failed", "MissingInput", 4)
    assert event["job"] == "preprocess"
    assert err == f"ratchet: {event['message']}\n"


def test_a_sql_source_is_refused_before_anything_is_told_of_it(ratchet, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment or the command line: the message leads to the DAG, and names no secret."""
    source = f"postgresql+psycopg://bob:{PASSWORD}@127.0.0.1:9/shop?table=reviews"
    said = [ratchet("ingest", "--source", source)]
    monkeypatch.setenv("RATCHET_SOURCE", source)
    said.append(ratchet("ingest"))
    for code, out, err in said:
        assert code == 2
        assert "run it through the DAG" in err
        assert PASSWORD not in out + err


def test_doctor_examines_every_part_and_names_no_password(ratchet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sick ledger does not hide a sick MLflow, and both keep their secret."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/ledger")
    monkeypatch.setenv("RATCHET_TRACKING", f"http://me:{PASSWORD}@127.0.0.1:9")
    code, out, err = ratchet("doctor")
    assert code == 1
    for part in ("store", "ledger", "MLflow"):
        assert part in out
    assert out.count("ill") >= 2
    assert PASSWORD not in out + err
    assert ratchet("reconcile")[0] == 7


def test_an_error_hides_the_password_that_a_library_wrote_into_it() -> None:
    """Whatever the message quotes, the URL in it is without its user and password."""
    from ratchet.errors import ServiceUnavailable

    assert str(ServiceUnavailable(f"GET http://me:{PASSWORD}@host/x failed")) == "GET http://***@host/x failed"
