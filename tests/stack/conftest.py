"""A complete deployment on a real Docker engine, with its own name, ports and passwords; all of it is removed after."""

from __future__ import annotations

import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.fault_proxy import serving
from harness.project import REVIEWS
from local.compose.compose import PROFILES, Compose
from local.compose.env_file import PORTS, Env
from local.compose.up import down, up
from local.compose.weeks import run
from local.processes.children import free_port
from stack.deployment import Deployment, docker
from stack.tap import Tap

HERE = Path(__file__).parent
WEEKS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=1, help="how many times to kill -9 each part of Airflow")
    parser.addoption("--pictures", type=Path, help="where to write the screenshots")
    parser.addoption(
        "--reviews", type=Path, default=REVIEWS, help="an archive of reviews; without it, they are synthetic"
    )


@pytest.fixture(scope="session")
def fresh_deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The deployment, before any DAG run."""
    folder, project = tmp_path_factory.mktemp("stack"), f"ratchet-test-{uuid.uuid4().hex[:6]}"
    ports = {name: str(free_port()) for name in PORTS}
    reviews: Path | None = request.config.getoption("reviews")
    source = str(reviews) if reviews and reviews.exists() else ""
    with Tap(f"http://127.0.0.1:{ports['AWS_PORT']}", _bridge()) as tap, serving(tap):
        batches = max(10, WEEKS + request.config.getoption("kills") + 3)  # one week per three kills, and three more
        settings = {
            "SEED_BATCHES": str(batches),
            "RATCHET_PROJECT": project,
            "IMAGE_TAG": "test",
            "TAP": tap.url,
        } | ports
        env, overlays = folder / ".env", [HERE / "tap.yaml"]
        try:
            compose = up(env, settings | ports, source, profiles=PROFILES, overlays=overlays)
            yield Deployment(compose, tap, folder / "report", bool(source))
        finally:
            if env.exists():
                if request.session.testsfailed:
                    subprocess.run(Compose(Env.read(env), (), overlays).command("logs", "--no-color", "--tail", "60"))
                down(env, delete_data=True, overlays=overlays)
    assert remaining(project) == []


@pytest.fixture(scope="session")
def deployment(fresh_deployment: Deployment) -> Deployment:
    """The deployment after weeks 0 to 2, run as `make run` does."""
    assert run(fresh_deployment.compose.env, WEEKS, {}, fresh_deployment.output) == 0
    return fresh_deployment


def remaining(project: str) -> list[str]:
    """The containers, volumes and networks of a project; without its network, no job's container can exist."""
    label = f"label=com.docker.compose.project={project}"
    found: list[str] = []
    for command in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        found += docker(*command, "--quiet", "--filter", label).split()
    return found


def _bridge() -> str:
    """This machine's address for containers: Docker's `host-gateway`."""
    found = psutil.net_if_addrs().get("docker0")
    if not found:
        pytest.skip("this engine has no bridge docker0, through which containers reach the tests' proxy")
    return next(str(address.address) for address in found if address.family == socket.AF_INET)
