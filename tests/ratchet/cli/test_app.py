"""The output of the command line: failures for people and for machines, and never a password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import local_s3
from ratchet.jobs.catalogue import JOBS

PASSWORD = "hunter2"


def test_a_failed_job_is_an_event_and_a_line(ratchet) -> None:
    """The log has kind and exit code as JSON; standard error has the one line that tools and people read."""
    code, out, err = ratchet("preprocess")
    event = json.loads(out.splitlines()[-1])
    assert (code, event["event"], event["kind"], event["exit_code"]) == (4, "job failed", "MissingInput", 4)
    assert event["job"] == "preprocess"
    assert err == f"ratchet: {event['message']}\n"


def test_a_sql_source_is_refused_before_anything_is_logged(ratchet, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for the environment and the command line; the message names the DAG, and no secret."""
    source = f"postgresql+psycopg://bob:{PASSWORD}@127.0.0.1:9/shop?table=reviews"
    results = [ratchet("ingest", "--source", source)]
    monkeypatch.setenv("RATCHET_SOURCE", source)
    results.append(ratchet("ingest"))
    for code, out, err in results:
        assert code == 2
        assert "run it through the DAG" in err
        assert PASSWORD not in out + err
        assert "job starts" not in out


def test_doctor_checks_every_part_and_names_no_password(ratchet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed ledger does not hide a failed MLflow, and both keep their secret."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/ledger")
    monkeypatch.setenv("RATCHET_TRACKING", f"http://me:{PASSWORD}@127.0.0.1:9")
    code, out, err = ratchet("doctor")
    assert code == 1
    for part in ("store", "ledger", "MLflow"):
        assert part in out
    assert out.count("failed") >= 2
    assert PASSWORD not in out + err
    assert ratchet("reconcile")[0] == 7


def test_doctor_finds_that_there_is_no_such_bucket(ratchet, tmp_path: Path) -> None:
    """A bucket without batches is fine; one that does not exist is not."""
    with local_s3.endpoint(tmp_path) as url, local_s3.empty_bucket(url) as bucket:
        found = [finding_on("store", ratchet("doctor", "--store", f"s3://{name}")[1]) for name in (bucket, "no-such")]
    assert "ok" in found[0]
    assert "failed" in found[1]
    assert "S3 refused" in found[1]


def finding_on(part: str, output: str) -> str:
    """The line of doctor's table on a part."""
    return next(line for line in output.splitlines() if f"│ {part} " in line)


def test_an_error_hides_the_password_that_a_library_wrote_into_it() -> None:
    """A URL that a message quotes has neither user nor password."""
    from ratchet.errors import ServiceUnavailable

    assert str(ServiceUnavailable(f"GET http://me:{PASSWORD}@host/x failed")) == "GET http://***@host/x failed"


def test_help_lists_every_job_in_its_order_and_the_groups_of_the_other_commands(ratchet) -> None:
    """A newcomer finds a command by what it is about."""
    code, out, _ = ratchet("--help")
    assert code == 0
    lines = out[out.index(" Jobs ") :].splitlines()
    listed = [line.split()[1] for line in lines if line.startswith("│") and line[2] != " "]
    assert listed[: len(JOBS)] == list(JOBS)
    for group in ("Champion", "Model", "Service", "Maintenance"):
        assert f" {group} " in out


@pytest.mark.parametrize("job", JOBS)
def test_every_job_has_its_options_the_store_and_force(ratchet, job: str) -> None:
    """Each option has the field's help."""
    code, out, _ = ratchet(job, "--help")
    assert code == 0
    for name, field in JOBS[job].model_fields.items():
        assert f"--{name} " in out
        assert field.description.partition(":")[0] in out
    assert "--store" in out
    assert "--force" in out


def test_an_option_that_is_missing_is_named(ratchet) -> None:
    """The exit code is the one of a wrong command line, which no other try would change."""
    code, _, err = ratchet("train")
    assert code == 2
    assert "--window" in err
