"""A whole stack on a real Docker engine, under a name, ports and passwords of its own; nothing of it is left."""

from __future__ import annotations

import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from composed.compose import Compose
from composed.env import PORTS, Env
from composed.up import down, up
from composed.weeks import run
from embedded.children import free_port
from faults.proxy import serving
from stack.stage import Stage
from stack.tap import Tap

HERE = Path(__file__).parent
ARCHIVE = HERE.parents[2] / "shared" / "data" / "amazon_review_polarity_csv.tgz"
WEEKS = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=1, help="kill -9 each part of Airflow so many times")
    parser.addoption("--pictures", type=Path, help="where to write the screenshots")
    parser.addoption("--reviews", type=Path, default=ARCHIVE, help="an archive of reviews; synthetic ones without it")


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, project = tmp_path_factory.mktemp("stack"), f"ratchet-test-{uuid.uuid4().hex[:6]}"
    ports = {name: str(free_port()) for name in PORTS}
    reviews: Path = request.config.getoption("reviews")
    with Tap(f"http://127.0.0.1:{ports['AWS_PORT']}", _bridge()) as tap, serving(tap):
        batches = max(10, WEEKS + request.config.getoption("kills") + 2)  # a week for every three kills, and two more
        settings = {"RATCHET_PROJECT": project, "TAP": tap.url, "SEED_BATCHES": str(batches), **ports}
        overlays = [HERE / "tap.yaml"]
        try:
            compose = up(
                folder / ".env", settings, str(reviews) if reviews.exists() else "",
                profiles=["serving", "dashboard"], overlays=overlays,
            )  # fmt: skip
            yield Stage(compose, tap, folder / "report", reviews.exists())
        finally:
            if request.session.testsfailed:
                print(Compose(Env.read(folder / ".env"), (), overlays).ask("logs", "--no-color", "--tail", "60"))
            down(folder / ".env", forget=True, overlays=overlays)
    assert left_over(project) == []


@pytest.fixture(scope="session")
def weeks(stage: Stage) -> Stage:
    """Weeks 0 to 2, run as `make run` does."""
    assert run(stage.compose.env, WEEKS, {}, stage.output) == 0
    return stage


def left_over(project: str) -> list[str]:
    """Containers, volumes and networks of a project; jobs' containers are known by its network, so they are gone."""
    label = f"label=com.docker.compose.project={project}"
    found: list[str] = []
    for command in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        question = ["docker", *command, "--quiet", "--filter", label]
        found += subprocess.run(question, capture_output=True, text=True, check=True).stdout.split()
    return found


def _bridge() -> str:
    """The address of this machine that every container can reach: Docker's `host-gateway`."""
    return next(address.address for address in psutil.net_if_addrs()["docker0"] if address.family == socket.AF_INET)
