"""`ratchet serve` as a process: it says where it listens, and SIGTERM ends it without a dropped request."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys

from annotated_types import Le

from harness.project import PROJECT
from harness.serving import KEY, Stage, process_of, until_version, wait_until
from ratchet.prediction_log import log as prediction_log
from ratchet.serving.inference import shadow
from ratchet.serving.models import poller
from ratchet.serving.server import FINISH_SECONDS
from ratchet.serving.settings import ServingSettings


def test_sigterm_means_not_ready_then_finished_then_zero(stage: Stage) -> None:
    """While it drains, /ready says 503 and reviews are still answered; then it exits with 0."""
    stage.promote(1)
    with process_of(stage.settings.model_copy(update={"serving_drain_seconds": 2})) as (server, client):
        until_version(client, 1)
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/ready").status_code == 503)
        client.post("/v1/predict", json={"reviews": [{"text": "still there?"}]}).raise_for_status()
        assert server.wait(15) == 0


def test_the_longest_end_fits_into_thirty_seconds() -> None:
    """ECS and compose kill whoever is not gone by then, and the buffer of the prediction log with it."""
    rules = ServingSettings.model_fields["serving_drain_seconds"].metadata
    (drain,) = (float(rule.le) for rule in rules if isinstance(rule, Le))  # type: ignore[arg-type]  # it is 10
    ends = [shadow.STOP_SECONDS, poller.STOP_SECONDS, poller.STOP_SECONDS, prediction_log.STOP_SECONDS]
    assert drain + FINISH_SECONDS + sum(ends) < 30


def test_the_log_quotes_nobody(stage: Stage) -> None:
    """Neither a key, nor a word of a review, nor the content of what could not be read or is no HTTP at all."""
    stage.promote(1)
    with process_of(stage.settings) as (server, client):
        until_version(client, 1)
        review = {"title": "confidential", "text": "confidential", "prediction_id": "confidential"}
        assert client.post("/v1/predict", json={"reviews": [review]}).status_code == 200
        assert client.post("/v1/predict", json={"confidential": [review]}).status_code == 422
        assert client.get("/confidential", headers={"Authorization": "Bearer confidential"}).status_code == 401
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            connection.sendall(b"confidential\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=15)
    assert "stopping" in said
    assert "confidential" not in said
    assert KEY not in said


def test_serving_imports_nothing_that_trains() -> None:
    """Of `ratchet.model` it imports what predicts and explains; importing it imports no MLflow and no Arrow."""
    taken = {
        name.removeprefix("ratchet.model.")
        for path in (PROJECT / "include/ratchet/serving").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ratchet.model")
        for name in ([node.module] if node.module != "ratchet.model" else [alias.name for alias in node.names])
    }
    assert taken <= {"artifact", "explain", "registry_tags"}
    heavy = "print(sorted({'mlflow', 'pandas', 'pyarrow', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, ratchet.serving.server; {heavy}"],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "include")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_every_setting_of_the_api_is_documented() -> None:
    """A setting that nobody can find is not a setting."""
    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in ServingSettings.model_fields if f"RATCHET_{name.upper()}" not in guide] == []
