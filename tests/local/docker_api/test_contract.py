"""The server keeps Docker's contract, tested first with the docker SDK alone and then with ministack."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from harness.project import PROJECT
from local.docker_api import Image, running

MEBIBYTE = 2**20
Task = dict[str, Any]
WAIT = "import time; print('up', flush=True); time.sleep(99)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
# A container of two generations, which prints both process ids.
FAMILY = (
    "import os, subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); "
    "print(os.getpid(), child.pid, flush=True); time.sleep(99)"
)
IMAGES = {"python:local": Image([sys.executable, "-c"], {"FROM_IMAGE": "image", "BOTH": "image"})}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name, because a socket's path has at most about 100 bytes."""
    with TemporaryDirectory(prefix="eng-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def docker_host(folder: Path) -> Iterator[str]:
    with running(folder / "docker.sock", folder / "state", IMAGES) as address:
        yield address


@pytest.fixture(scope="module")
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=docker_host)) as client:
        yield client


@pytest.fixture
def run(client: docker.DockerClient) -> Iterator[Callable[..., Container]]:
    """Starts containers, and removes them after the test."""
    started: list[Container] = []

    def start(code: str, **options: object) -> Container:
        started.append(client.containers.run("python:local", [code], detach=True, **options))
        return started[-1]

    yield start
    for container in started:
        with suppress(NotFound):
            container.remove(force=True)


def first_line(container: Container) -> str:
    """Wait for the container's first line of output, and so for its start."""
    line: bytes = next(container.logs(stream=True, follow=True))
    return line.decode().strip()


def eventually(condition: Callable[[], bool], within: float = 10) -> bool:
    """Whether the condition becomes true within some seconds."""
    deadline = time.monotonic() + within
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie has."""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return ps.stdout.strip()[:1] in ("", "Z")


def test_stdout_and_stderr_are_separate_and_in_order(run: Callable[..., Container]) -> None:
    """Each stream is returned separately, completely and in the order of writing."""
    lines = "".join(f"line {number}\n" for number in range(1000))
    container = run(f"import sys; sys.stdout.write({lines!r}); sys.stderr.write('one\\ntwo'); sys.exit(3)")
    assert container.wait()["StatusCode"] == 3
    assert container.logs(stderr=False).decode() == lines
    assert container.logs(stdout=False) == b"one\ntwo"
    assert container.logs(stderr=False, tail=2) == b"line 998\nline 999\n"
    stamped = container.logs(stderr=False, tail=1, timestamps=True).decode()
    assert stamped.startswith("20")
    assert stamped.endswith("Z line 999\n")


def test_a_foreground_run_returns_the_output(client: docker.DockerClient) -> None:
    """The SDK's own `run` follows the log until the container ends, and removes the container."""
    name = secrets.token_hex(4)
    assert client.containers.run("python:local", ["print('hello')"], name=name, remove=True) == b"hello\n"
    assert name not in [container.name for container in client.containers.list(all=True)]


def test_a_followed_log_arrives_while_the_container_runs(run: Callable[..., Container]) -> None:
    """A client that follows the log gets a line at once, and the end of the stream at the container's end."""
    container = run(WAIT)
    stream = container.logs(stream=True, follow=True)
    assert next(stream) == b"up\n"
    container.kill()
    assert list(stream) == []


def test_the_environment_contains_no_variable_of_the_server(run: Callable[..., Container]) -> None:
    """A container has the image's variables and its own, which override them, and no other."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    container = run(code, environment={"BOTH": "container", "OWN": "a=b"})
    container.wait()
    seen = json.loads(container.logs())
    seen.pop("LC_CTYPE", None)  # Python sets it for itself
    seen.pop("__CF_USER_TEXT_ENCODING", None)  # and macOS this
    assert seen == {"FROM_IMAGE": "image", "BOTH": "container", "OWN": "a=b"}


def test_names_of_the_hosts_file_are_resolved(run: Callable[..., Container]) -> None:
    """A container finds the host's name on the loopback interface."""
    container = run(
        "import os; print(os.environ['URL'])",
        environment={"URL": "http://host.docker.internal:4566"},
        extra_hosts={"host.docker.internal": "host-gateway"},
    )
    container.wait()
    assert container.logs() == b"http://127.0.0.1:4566\n"


def test_each_container_works_in_a_folder_of_its_own(run: Callable[..., Container]) -> None:
    """Two containers write the same relative path to different files."""
    code = "import os; open('mark', 'x'); print(os.getcwd())"
    one, two = run(code), run(code)
    assert (one.wait()["StatusCode"], two.wait()["StatusCode"]) == (0, 0)
    assert one.logs() != two.logs()


def test_an_entrypoint_replaces_the_images(run: Callable[..., Container]) -> None:
    """As in Docker, the container's entrypoint overrides the image's."""
    container = run("hello", entrypoint=["/bin/echo", "-n"])
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"hello"


def test_a_missing_program_cannot_be_started(client: docker.DockerClient, run: Callable[..., Container]) -> None:
    """Docker refuses the start and gives the container the exit code 127."""
    name = secrets.token_hex(4)
    with pytest.raises(APIError, match="Cannot start /no/such/program"):
        run("", entrypoint=["/no/such/program"], name=name)
    container = client.containers.get(name)
    assert container.attrs["State"]["ExitCode"] == 127
    container.remove()


def test_stop_sends_sigterm(run: Callable[..., Container]) -> None:
    """A container without a handler for SIGTERM ends at once with 143."""
    container = run(WAIT)
    first_line(container)
    container.stop()
    assert container.wait()["StatusCode"] == 143


def test_kill_sends_sigkill(run: Callable[..., Container]) -> None:
    """A killed container reports 137, and killing it again is a conflict."""
    container = run(WAIT)
    container.kill()
    assert container.wait()["StatusCode"] == 137
    with pytest.raises(APIError, match="is not running"):
        container.kill()


def test_a_stubborn_container_is_killed_after_the_timeout(run: Callable[..., Container]) -> None:
    """A container that ignores SIGTERM is killed after the grace period: 137."""
    container = run(STUBBORN)
    first_line(container)
    stopped_at = time.monotonic()
    container.stop(timeout=1)
    assert container.wait()["StatusCode"] == 137
    assert time.monotonic() - stopped_at >= 1


def test_children_end_with_their_container(run: Callable[..., Container]) -> None:
    """Processes that a container started are killed when its first process ends."""
    container = run(FAMILY)
    pids = [int(pid) for pid in first_line(container).split()]
    container.stop()
    assert container.wait()["StatusCode"] == 143
    assert eventually(lambda: all(map(gone, pids)))


def test_a_name_is_unique(run: Callable[..., Container]) -> None:
    """A second container of the same name is a conflict; the name is free again after removal."""
    name = secrets.token_hex(4)
    first = run("", name=name)
    with pytest.raises(APIError) as conflict:
        run("", name=name)
    assert conflict.value.status_code == 409
    first.wait()
    first.remove()
    assert run("", name=name).wait()["StatusCode"] == 0


def test_an_unknown_image_is_not_found(client: docker.DockerClient) -> None:
    """Create, pull and inspect respond with the message that the SDK recognises."""
    for request in (client.containers.run, client.images.pull, client.images.get):
        with pytest.raises(ImageNotFound, match="this engine has python:local"):
            request("ghost:1.0")
    assert client.images.pull("python:local").tags == ["python:local"]


def test_labels_filter_the_list(client: docker.DockerClient, run: Callable[..., Container]) -> None:
    """The list has the containers with all given labels, with or without values; finished ones on request."""
    label = secrets.token_hex(4)
    waiting = run(WAIT, labels={label: "1", "kind": "a"})
    finished = run("", labels={label: "2", "kind": "a"})
    finished.wait()

    def found(*labels: str, **options: bool) -> set[str]:
        return {c.id for c in client.containers.list(filters={"label": list(labels)}, **options)}

    assert found(label) == {waiting.id}
    assert found(label, all=True) == {waiting.id, finished.id}
    assert found(f"{label}=2", "kind=a", all=True) == {finished.id}
    assert found(f"{label}=2", "kind=b", all=True) == set()


def test_removing_a_running_container_needs_force(client: docker.DockerClient, run: Callable[..., Container]) -> None:
    """A forced removal ends the processes, and the container is then unknown."""
    container = run(FAMILY)
    pids = [int(pid) for pid in first_line(container).split()]
    with pytest.raises(APIError, match="is running"):
        container.remove()
    container.remove(force=True)
    assert eventually(lambda: all(map(gone, pids)))
    with pytest.raises(NotFound):
        client.containers.get(container.id)


def test_peak_memory_is_reported(run: Callable[..., Container]) -> None:
    """The description of a finished container has its peak memory."""
    container = run(f"block = b'x' * {300 * MEBIBYTE}")
    container.wait()
    container.reload()
    state = container.attrs["State"]
    assert 300 * MEBIBYTE < state["PeakMemoryBytes"] < 400 * MEBIBYTE
    assert state["OOMKilled"] is False
    assert container.attrs["Created"] <= state["StartedAt"] <= state["FinishedAt"]


def test_an_unsupported_request_is_named_in_the_error(
    client: docker.DockerClient, run: Callable[..., Container]
) -> None:
    """A request that the server does not support fails with 501."""
    with pytest.raises(APIError, match=r"does not serve GET /v1\.44/volumes") as error:
        client.volumes.list()
    assert error.value.status_code == 501
    with pytest.raises(APIError, match="cannot bind"):
        run("", volumes=["/etc:/data:ro"])


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_container_outlives_the_server(folder: Path, end: signal.Signals) -> None:
    """However the server ends, its containers and their children end too, even while a client waits."""
    path, state, images = (folder / f"{end.name}.{kind}" for kind in ("sock", "state", "json"))
    images.write_text(json.dumps({"python:local": {"entrypoint": [sys.executable, "-c"]}}))
    options = [f"--socket={path}", f"--state={state}", f"--images={images}"]
    command = [sys.executable, "-m", "local.docker_api", *options]
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "include")}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        try:
            with closing(docker.DockerClient(base_url=address)) as client:
                log = client.containers.run("python:local", [FAMILY], detach=True).logs(stream=True)
                pids = [int(pid) for pid in next(log).split()]
                server.send_signal(end)
                assert server.wait(timeout=4) in (0, -end)
                assert eventually(lambda: all(map(gone, pids)))
        finally:
            server.kill()


@pytest.fixture(scope="module")
def aws(folder: Path, docker_host: str) -> Iterator[Callable[[str], Any]]:
    """An unmodified ministack that uses the server, as a factory of boto3 clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "DOCKER_HOST": docker_host,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "TMPDIR": str(folder),
    }
    with (folder / "ministack.log").open("w") as log:
        ministack = subprocess.Popen([sys.executable, "-m", "ministack"], env=env, stdout=log, stderr=log)

    def healthy() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5) as response:
            return bool(response.status == 200)
        assert ministack.poll() is None, (folder / "ministack.log").read_text()
        return False

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    try:
        assert eventually(healthy, within=60)
        yield lambda service: boto3.client(service, endpoint_url=endpoint, **keys)
    finally:
        ministack.terminate()
        ministack.wait(timeout=20)


@pytest.fixture(scope="module")
def run_task(aws: Callable[[str], Any]) -> Callable[..., Task]:
    """A function that runs a Fargate task and returns its description after it has stopped."""
    ecs, logs = aws("ecs"), aws("logs")
    ecs.create_cluster(clusterName="contract")
    logs.create_log_group(logGroupName="/contract")
    options = {"awslogs-group": "/contract", "awslogs-stream-prefix": "job"}
    logging = {"logDriver": "awslogs", "options": options}

    def stopped(code: str, image: str = "python:local", then: Callable[[str], Any] = str) -> Task:
        family = secrets.token_hex(4)
        ecs.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "job", "image": image, "logConfiguration": logging}],
        )
        overrides = {"containerOverrides": [{"name": "job", "command": [code]}]}
        task = ecs.run_task(cluster="contract", taskDefinition=family, overrides=overrides)["tasks"][0]
        then(task["taskArn"])

        def describe() -> Task:
            described: Task = ecs.describe_tasks(cluster="contract", tasks=[task["taskArn"]])["tasks"][0]
            return described

        assert eventually(lambda: describe()["lastStatus"] == "STOPPED", within=20)
        return describe()

    return stopped


def log_lines(aws: Callable[[str], Any], task: Task) -> list[str]:
    stream = f"job/job/{task['taskArn'].rsplit('/', 1)[-1]}"
    events = aws("logs").get_log_events(logGroupName="/contract", logStreamName=stream, startFromHead=True)
    return [event["message"] for event in events["events"]]


def test_an_ecs_task_runs_to_its_end(aws: Callable[[str], Any], run_task: Callable[..., Task]) -> None:
    """ECS reports the exit code, and CloudWatch has every line of output."""
    task = run_task("import sys; [print('line', number) for number in range(300)]; sys.exit(3)")
    assert task["containers"][0]["exitCode"] == 3
    assert task["stopCode"] == "EssentialContainerExited"
    expected = [f"line {number}" for number in range(300)]
    assert eventually(lambda: len(log_lines(aws, task)) == len(expected))
    assert log_lines(aws, task) == expected


def test_an_ecs_task_reaches_aws(aws: Callable[[str], Any], run_task: Callable[..., Task]) -> None:
    """The endpoint in a container's environment is ministack's."""
    code = (
        "import os, urllib.request; "
        "print(urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_ministack/health').status)"
    )
    task = run_task(code)
    assert task["containers"][0]["exitCode"] == 0
    assert eventually(lambda: log_lines(aws, task) == ["200"])


def test_an_ecs_task_of_an_unknown_image_fails_to_start(run_task: Callable[..., Task]) -> None:
    """The task stops with a reason that names the image."""
    task = run_task("", image="ghost:1.0")
    assert task["stopCode"] == "TaskFailedToStart"
    assert "No such image: ghost:1.0" in task["stoppedReason"]


def test_a_stopped_ecs_task_leaves_no_container(
    aws: Callable[[str], Any], client: docker.DockerClient, run_task: Callable[..., Task]
) -> None:
    """StopTask ends the process and removes the container."""

    def running_containers(arn: str) -> list[Container]:
        found: list[Container] = client.containers.list(filters={"label": f"com.amazonaws.ecs.task-arn={arn}"})
        return found

    def stop(arn: str) -> None:
        assert eventually(lambda: bool(running_containers(arn)))
        aws("ecs").stop_task(cluster="contract", task=arn)

    task = run_task(WAIT, then=stop)
    assert task["stopCode"] == "UserInitiated"
    assert eventually(lambda: not running_containers(task["taskArn"]))
