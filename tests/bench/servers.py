"""The servers of `make bench-serving`: the API with real versions in a real MLflow, and MLflow's own server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import mlflow
from pydantic import SecretStr

from harness.jobs import Bench
from harness.processes import end
from harness.serving import KEY, TRAININGS, Deployment, Mlflow, environment, mlflow_server, wait_until
from local.environment import replaced_environment
from local.processes import postgres
from local.processes.children import free_port
from ratchet.promotion.registry import Registry
from ratchet.serving.settings import ServingSettings
from ratchet.settings import Settings


@contextmanager
def process(command: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        server = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
    try:
        yield server
    finally:
        end(server, 30)


@contextmanager
def api(deployment: Deployment, folder: Path) -> Iterator[int]:
    """Run `ratchet serve`; yields its port when it is ready."""
    log = folder / "api.log"
    with process(
        [sys.executable, "-m", "ratchet", "serve", "--port", "0"], environment(deployment.settings), log
    ) as server:
        wait_until(lambda: server.poll() is not None or '"listening"' in log.read_text(), seconds=60)
        port = next(event["port"] for event in map(json.loads, log.open()) if event["event"] == "listening")
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/ready").status_code == httpx.codes.OK, seconds=60)
        yield port


@contextmanager
def mlflow_models_serve(deployment: Deployment, folder: Path) -> Iterator[int]:
    """Run MLflow's own server with version 1 in this environment; yields its port."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
        *(
            "--model-uri",
            f"models:/{deployment.settings.registered_model}/1",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ),
    ]
    here = {"MLFLOW_TRACKING_URI": deployment.mlflow.uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    here |= {"PYTHONPATH": environment(deployment.settings)["PYTHONPATH"]}
    here |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}  # it calls `uvicorn`
    with process(command, here, folder / "mlflow-serve.log"):

        def is_up() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        wait_until(is_up, seconds=120)
        yield port


@contextmanager
def prepared(source: str, folder: Path) -> Iterator[Deployment]:
    """Three versions of the model, trained by the real jobs on all reviews or on half, in a real MLflow."""
    bench = Bench(folder / "store")
    with postgres.running(folder / "postgres") as databases, mlflow_server(folder) as (uri, wait_for_mlflow):
        bench.prepare(source, batches=2)
        wait_for_mlflow()
        with replaced_environment({**os.environ, "RATCHET_TRACKING": uri}):
            for window, candidate in TRAININGS.values():
                bench.ratchet("train", "--window", str(window), "--candidate", candidate)
            trained, registry = Mlflow(uri, folder / "artifacts", bench), Registry(Settings())
            for version in TRAININGS:
                registry.register(trained.trained(version))
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own default is None
        settings = ServingSettings(
            store=str(folder / "serving"),
            ledger=SecretStr(databases["ratchet"]),
            tracking=SecretStr(uri),
            serving_keys=SecretStr(sha256(KEY.encode()).hexdigest()),
            serving_cache=folder / "cache",
            serving_poll_seconds=0.05,
            serving_log_spool=folder / "spool",
            serving_rate=1e6,
            serving_burst=1_000_000,
        )
        deployment = Deployment(settings, trained)
        deployment.promote(1)
        yield deployment
