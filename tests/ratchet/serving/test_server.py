"""`ratchet serve` as a process: it logs its address, and SIGTERM ends it without a dropped request."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from annotated_types import Le

from harness.project import PROJECT
from harness.serving import KEY, Deployment, process_of, until_version, wait_until
from ratchet.prediction_log import log as prediction_log
from ratchet.serving.inference import shadow
from ratchet.serving.models import poller
from ratchet.serving.server import FINISH_SECONDS
from ratchet.serving.settings import ServingSettings

HOST = "127.0.0.1"


def test_sigterm_means_not_ready_then_finished_then_zero(deployment: Deployment) -> None:
    """While it drains, /ready is 503 and reviews are still predicted; then it exits with 0."""
    deployment.promote(1)
    with process_of(deployment.settings.model_copy(update={"serving_drain_seconds": 2})) as (server, client):
        until_version(client, 1)
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/ready").status_code == 503)
        client.post("/v1/predict", json={"reviews": [{"text": "still there?"}]}).raise_for_status()
        assert server.wait(15) == 0


def test_the_longest_shutdown_takes_less_than_thirty_seconds() -> None:
    """ECS and compose kill a process that is still running then, with the buffer of the prediction log."""
    rules = ServingSettings.model_fields["serving_drain_seconds"].metadata
    (drain,) = (float(rule.le) for rule in rules if isinstance(rule, Le))  # type: ignore[arg-type]  # it is 10
    ends = [shadow.STOP_SECONDS, poller.STOP_SECONDS, poller.STOP_SECONDS, prediction_log.STOP_SECONDS]
    assert drain + FINISH_SECONDS + sum(ends) < 30


def test_an_idle_connection_outlives_the_one_of_a_load_balancer() -> None:
    """AWS closes its side after 60 s; the API's side must not close before."""
    field = ServingSettings.model_fields["serving_keep_alive_seconds"]
    assert field.default > 60


@pytest.mark.parametrize(("seconds", "alive"), [(1, False), (75, True)])
def test_an_idle_connection_stays_open_as_long_as_the_setting_says(
    deployment: Deployment, seconds: int, alive: bool
) -> None:
    """The server closes the connection after one second, or has not after three."""
    settings = deployment.settings.model_copy(update={"serving_keep_alive_seconds": seconds})
    with process_of(settings) as (_, client), socket.create_connection((HOST, client.base_url.port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\n\r\n")
        response = b""
        while not response.endswith(b"}"):
            response += connection.recv(1 << 16)
        assert response.startswith(b"HTTP/1.1 200")
        connection.settimeout(3)
        if alive:
            with pytest.raises(TimeoutError):
                connection.recv(1)
        else:
            assert connection.recv(1) == b""


def test_health_checks_may_use_head(deployment: Deployment) -> None:
    """The status and headers are those of GET, without the body and without a key."""
    with process_of(deployment.settings) as (_, client):
        for path in ("/health", "/ready"):
            head, get = httpx.head(client.base_url.join(path)), httpx.get(client.base_url.join(path))
            assert (head.status_code, head.content) == (get.status_code, b"")
            assert head.headers["content-length"] == get.headers["content-length"]


def test_the_log_quotes_no_request(deployment: Deployment) -> None:
    """The log has no keys, no reviews, no content of invalid requests and no bytes that are not HTTP."""
    deployment.promote(1)
    with process_of(deployment.settings) as (server, client):
        until_version(client, 1)
        review = {"title": "confidential", "text": "confidential", "prediction_id": "confidential"}
        assert client.post("/v1/predict", json={"reviews": [review]}).status_code == 200
        assert client.post("/v1/predict", json={"confidential": [review]}).status_code == 422
        assert client.get("/confidential", headers={"Authorization": "Bearer confidential"}).status_code == 401
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            connection.sendall(b"confidential\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=15)
    assert "stopping" in output
    assert "confidential" not in output
    assert KEY not in output


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
    """docs/settings.md names every variable."""
    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in ServingSettings.model_fields if f"RATCHET_{name.upper()}" not in guide] == []
