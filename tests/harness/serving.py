"""A real environment for the API: an MLflow server with versions, a ledger to promote them, the app on a free port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from harness.jobs import Bench
from harness.ledger import gate_record
from harness.processes import end
from harness.project import PROJECT
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import sha256_of
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Ledger
from ratchet.model import artifact
from ratchet.model.artifact import WEIGHTS
from ratchet.serving.app import create_app
from ratchet.serving.settings import ServingSettings
from ratchet.windows import Window

KEY = "a-key-for-tests"
AWAY = "127.0.0.1:9"  # nothing listens on the discard port
TRAININGS = {1: (Window(0), "linear-svc"), 2: (Window(0), "logistic-regression"), 3: (Window(1), "linear-svc")}

Api = Callable[[ServingSettings], AbstractContextManager[httpx.Client]]


@dataclass(frozen=True)
class Mlflow:
    """MLflow with three versions of the model, and the folder in which its server keeps artifacts."""

    uri: str
    artifacts: Path
    bench: Bench

    def trained(self, version: int) -> Manifest:
        return self.bench.manifest(keys.model(*TRAININGS[version]))

    def reads(self, version: int, title: str, text: str) -> float:
        """The probability that a version gives, from the files that its training published."""
        model = artifact.load(self.bench.store / keys.model(*TRAININGS[version]))
        return float(model.read([title], [text])[0])

    def nominate(self, version: int) -> None:
        """Move MLflow's alias `challenger`, as `ratchet evaluate` does."""
        self._request("POST", "registered-models/alias", alias="challenger", version=str(version))

    @contextmanager
    def without_tag(self, version: int, tag: str) -> Iterator[None]:
        """A version lacks a tag while the block runs, as one that was registered by hand does."""
        tags = self._request("GET", "model-versions/get", version=str(version))["model_version"]["tags"]
        value = next(each["value"] for each in tags if each["key"] == tag)
        self._request("DELETE", "model-versions/delete-tag", version=str(version), key=tag)
        try:
            yield
        finally:
            self._request("POST", "model-versions/set-tag", version=str(version), key=tag, value=value)

    def _request(self, method: str, path: str, **fields: str) -> Any:
        fields = {"name": "review-sentiment", **fields}
        url, is_get = f"{self.uri}/api/2.0/mlflow/{path}", method == "GET"
        response = httpx.request(method, url, params=fields if is_get else None, json=None if is_get else fields)
        return response.raise_for_status().json()

    @contextmanager
    def damaged(self, version: int) -> Iterator[None]:
        """One byte of the weights in MLflow is changed while the block runs."""
        whole = self.trained(version).output(WEIGHTS).sha256
        path = next(path for path in self.artifacts.rglob(WEIGHTS) if sha256_of(path) == whole)
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        try:
            yield
        finally:
            path.write_bytes(before)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields its address at once, and a function that waits for it: its start takes seconds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"),
    ]
    here = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | here, stdout=log, stderr=log, cwd=folder)
    uri = f"http://127.0.0.1:{port}"

    def wait() -> None:
        wait_until(lambda: server.poll() is not None or _answers(f"{uri}/health"), seconds=300)
        assert server.poll() is None, (folder / "mlflow.log").read_text()

    try:
        yield uri, wait
    finally:
        end(server)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as a condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met within {seconds} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Deployment:
    """One deployment of the API: its settings, with a cache and a ledger of its own."""

    settings: ServingSettings
    mlflow: Mlflow

    def promote(self, version: int, action: str = "promote") -> Decision:
        """Make a version champion, as the gate does."""
        ledger = Ledger(self.settings.ledger_url, self.settings.registered_model)
        champion, trained = ledger.champion(), self.mlflow.trained(version)
        decision = Decision(
            subject=f"{action}/{champion.epoch}",
            action=action,
            version=version,
            previous=champion.version,
            window=trained.parameters["window"],
            candidate=trained.parameters["candidate"],
            reasons=[f"version {version} is better"],
            gate=gate_record(version, trained.digest) if action == "promote" else None,
        )
        return ledger.record(decision, champion)

    def without_services(self) -> ServingSettings:
        """Settings with the same cache, while Postgres and MLflow are down."""
        gone = {
            "ledger": SecretStr(f"postgresql+psycopg://me:hunter2@{AWAY}/ratchet"),
            "tracking": SecretStr(f"http://me:hunter2@{AWAY}"),
        }
        return self.settings.model_copy(update=gone)


def settings_in(folder: Path, tracking: str) -> ServingSettings:
    """Settings of an API whose ledger, cache and spool are in `folder`."""
    return ServingSettings(
        store=str(folder / "store"),
        ledger=SecretStr(f"sqlite:///{folder}/ledger.db"),
        tracking=SecretStr(tracking),
        serving_keys=SecretStr(f"tests:predict+feedback+admin:{sha256(KEY.encode()).hexdigest()}"),
        serving_cache=folder / "cache",
        serving_poll_seconds=0.05,
        serving_rate=10_000,  # above the rate of any test; tests of the limits set their own
        serving_burst=10_000,
        serving_log_spool=folder / "spool",
        serving_log_flush_seconds=0.05,
    )


@contextmanager
def running(settings: ServingSettings) -> Iterator[httpx.Client]:
    """Run the real app on a free port; yields a client with a key."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def environment(settings: ServingSettings) -> dict[str, str]:
    """The environment variables of a process with these settings and this code."""

    def text(name: str) -> str:
        found = getattr(settings, name)
        return found.get_secret_value() if isinstance(found, SecretStr) else str(found)

    variables = {f"RATCHET_{name.upper()}": text(name) for name in settings.model_fields_set}
    return variables | {"PYTHONPATH": str(PROJECT / "include")}


@contextmanager
def process_of(settings: ServingSettings) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """`ratchet serve` with these settings on a free port, and a client of it with a key."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "serve", "--port", "0"],
        env=os.environ | environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = next(event["port"] for event in map(json.loads, process.stdout) if event["event"] == "listening")
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def problem(response: httpx.Response) -> dict[str, Any]:
    """The body of a refusal, after asserting that it is a problem."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) == {"title", "status", "detail", "errors"}
    assert body["status"] == response.status_code
    return body


def until_version(client: httpx.Client, version: int) -> None:
    """Wait until the API serves a version."""
    wait_until(lambda: client.get("/ready").json().get("model_version") == version)
