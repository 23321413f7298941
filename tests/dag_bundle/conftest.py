"""Small projects to release, and stores to release them to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from dag_bundle.object_store import BucketStore, FolderStore, ObjectStore
from local.processes import services
from local.processes.children import Children, free_port

DAG = """
from airflow.sdk import dag, get_current_context, task

from {package}.diary import write

RELEASE = "{release}"


@dag(on_failure_callback=lambda context: write("callback", context["run_id"], RELEASE))
def {name}():
    @task
    def record():
        write("task", get_current_context()["run_id"], RELEASE)

    record()


{name}()
"""
DIARY = """
import json
import os

RELEASE = "{release}"


def write(who, run, release):
    # The columns: who ran, for which DAG run, the release of the DAG file, the release of this module.
    # The words dags and airflow are here because Airflow takes files with both for DAG files.
    with open(os.environ["DIARY"], "a") as diary:
        diary.write(json.dumps([who, run, release, RELEASE]) + "\\n")
"""
MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Makes projects whose DAG files and package both name the release they belong to."""

    def make(release: str, dags: tuple[str, ...] = ("weekly",), package: str = "delivered") -> Path:
        project = tmp_path / f"project-{release}"
        files = {f"dags/{name}.py": DAG.format(name=name, package=package, release=release) for name in dags}
        files |= {
            "plugins/page.py": "",
            f"include/{package}/__init__.py": "",
            f"include/{package}/diary.py": DIARY.format(release=release),
        }
        for path, text in files.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        return project

    return make


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of the S3 emulator."""
    root, port = tmp_path_factory.mktemp("s3"), free_port()
    with Children(root / "logs") as children:
        services.start_aws(children, port, "unix:///no/engine", root)
        endpoint = f"http://127.0.0.1:{port}"
        children.wait_for("aws", f"{endpoint}/_ministack/health")
        yield endpoint


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> BucketStore:
    """A new bucket for each test."""
    for name, text in services.aws_environment(s3).items():
        monkeypatch.setenv(name, text)
    name = f"test-{os.urandom(6).hex()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return BucketStore(f"s3://{name}/dags")


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    chosen: ObjectStore = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def kill_at_each_point() -> Callable[[Callable[[], object]], Iterator[int]]:
    """Run a function in a child process repeatedly; each time it is killed (-9) one file system call later."""
    calls = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.symlink", "os.listdir"}

    def killed(function: Callable[[], object], point: int) -> bool:
        child = os.fork()
        if not child:
            left = point

            def hook(event: str, arguments: object) -> None:
                nonlocal left
                if event in calls:
                    left -= 1
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)

            try:
                sys.addaudithook(hook)
                function()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in {0, -signal.SIGKILL}
        return status != 0

    def points(function: Callable[[], object]) -> Iterator[int]:
        point = 1
        while killed(function, point):
            yield point
            point += 1

    return points
