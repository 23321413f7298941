"""Every service that the DAG needs, started and provisioned in one `with` block."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from local import docker_api
from local.environment import isolated_environment, replaced_environment
from local.processes import postgres
from local.processes.children import Children, free_port
from local.provision import ACCESS_KEY, BUCKET, IMAGE, MLFLOW_CLIENT, JobEnvironment, provision

REGION = "us-east-1"
PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Services:
    """The running services.

    `endpoint` is the URL of AWS, `tracking` that of MLflow, `databases` the SQLAlchemy URLs by name, and `environment`
    the environment variables with which Airflow and the `ratchet` command use all of them.
    """

    endpoint: str
    tracking: str
    databases: dict[str, str]
    environment: dict[str, str]
    children: Children


@contextmanager
def running(
    root: Path,
    *,
    source: str,
    cache: Path,
    seed_batches: int = 10,
    aws_proxy: Callable[[str], AbstractContextManager[str]] = nullcontext,
) -> Iterator[Services]:
    """Start Postgres, the Docker API, AWS and MLflow under the folder `root`; all of them end with the block.

    Within the block this process has the isolated environment, because clients of the services read it as well.
    MLflow, the slowest to start, starts while the rest is provisioned. `aws_proxy` receives AWS's URL and yields the
    URL that Airflow, the jobs and MLflow use instead; tests put a proxy there. Raises ServiceUnavailable if a service
    does not start.
    """
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(replaced_environment(isolated_environment()))
        children = stack.enter_context(Children(root / "logs"))
        databases = stack.enter_context(postgres.running(root / "postgres", children.register))
        aws_port, mlflow_port = free_port(), free_port()
        aws, tracking = f"http://127.0.0.1:{aws_port}", f"http://127.0.0.1:{mlflow_port}"
        endpoint = stack.enter_context(aws_proxy(aws))
        shared = {
            **aws_environment(endpoint),
            "AWS_ENDPOINT_URL_S3": endpoint,  # overrides the AWS_ENDPOINT_URL that ministack sets in every container
            "RATCHET_STORE": f"s3://{BUCKET}",
            "RATCHET_TRACKING": tracking,
            **MLFLOW_CLIENT,
            "RATCHET_SEED_BATCHES": str(seed_batches),
            "RATCHET_CACHE": str(cache),
            "RATCHET_CODE_VERSION": code_version(),
        }
        _start_mlflow(children, mlflow_port, databases["mlflow"], shared)
        docker = stack.enter_context(engine_running(root, {IMAGE: _training_image()}, children))
        start_aws(children, aws_port, docker, root)
        children.wait_for("aws", f"{aws}/_ministack/health")
        provision(aws, REGION, JobEnvironment(databases["ratchet"], shared))
        children.wait_for("mlflow", f"{tracking}/health")
        environment = {
            **os.environ,
            **shared,
            "RATCHET_LEDGER": databases["ratchet"],
            "RATCHET_SOURCE": source,
            "RATCHET_ECS_POLL_SECONDS": "0.2",
            **_airflow(root, databases["airflow"]),
        }
        yield Services(endpoint, tracking, databases, environment, children)


@contextmanager
def engine_running(root: Path, images: dict[str, docker_api.Image], children: Children) -> Iterator[str]:
    """Serve the Docker API for processes and yield its DOCKER_HOST.

    The socket is in a temporary folder, because the path of a unix socket has at most 108 bytes.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ratchet-") as folder,
        docker_api.running(Path(folder) / "docker.sock", root / "containers", images, children.register) as address,
    ):
        yield address


def _training_image() -> docker_api.Image:
    """The training image, as a command of this Python environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(Path.home()),
        "PYTHONPATH": str(PROJECT / "include"),  # the sources that Airflow reads too, before any installed ones
    }
    return docker_api.Image([sys.executable, "-m", "ratchet"], environment)


def start_aws(children: Children, port: int, docker: str, root: Path) -> None:
    """Start ministack on `port`, with its state under `root`; its ECS runs tasks on the DOCKER_HOST `docker`."""
    env = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": docker,
        "IOT_MTLS_ENABLED": "0",  # its MQTT listener would be open to the network
        "SERVICES": "s3,ecs,logs,secretsmanager,sts,iam,sns",
        "STATE_DIR": str(root / "aws"),
        "S3_DATA_DIR": str(root / "aws" / "s3"),
    }
    children.start("aws", [sys.executable, "-m", "ministack"], env)


def _start_mlflow(children: Children, port: int, database: str, shared: dict[str, str]) -> None:
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database, "--artifacts-destination", f"s3://{BUCKET}/mlflow"),
    ]
    env = {**os.environ, **shared, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    children.start("mlflow", command, env)


def aws_environment(endpoint: str) -> dict[str, str]:
    """The environment variables with which boto3 uses the emulator at `endpoint`."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }


def _airflow(root: Path, database: str) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(root / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(root / "airflow" / "logs"),
        "PYTHONPATH": str(PROJECT / "include"),
    }


def code_version() -> str:
    """The commit of the working tree, with the suffix `-dirty` if it has changes; `unknown` outside git."""
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
