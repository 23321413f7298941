"""The operator's surroundings: the emulator's real ECS API, real processes, and a proxy that injects faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from harness import fault_proxy as proxy
from harness.ecs import EcsHarness
from harness.fault_proxy import Faults
from local import provision
from local.docker_api import Image
from local.processes import services
from local.processes.children import Children, free_port
from local.provision import JobEnvironment
from orchestration import settings as orchestration_settings


@pytest.fixture(scope="module")
def ecs_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsHarness]:
    """ECS on processes with `fake_job.py` as image. Requests of Airflow go through the proxy, those of jobs do not."""
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    folder = tmp_path_factory.mktemp("fake-job")
    aws, faults = f"http://127.0.0.1:{port}", Faults()
    image = Image(
        [sys.executable, str(Path(__file__).with_name("fake_job.py"))],
        {"PYTHONPATH": str(services.PROJECT / "include"), "FAKE_JOB_FOLDER": str(folder)},
    )
    with (
        Children(root / "logs") as children,
        services.engine_running(root, {provision.IMAGE: image}, children) as docker,
        proxy.running(aws, faults) as endpoint,
    ):
        services.start_aws(children, port, docker, root)
        children.wait_for("aws", f"{aws}/_ministack/health")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in services.aws_environment(endpoint).items():
                patch.setenv(name, value)
            facts = {**services.aws_environment(aws), "RATCHET_STORE": f"s3://{provision.BUCKET}"}
            provision.provision(aws, services.REGION, JobEnvironment("sqlite://", facts))
            patch.setenv("RATCHET_STORE", facts["RATCHET_STORE"])
            patch.setenv("RATCHET_ECS_POLL_SECONDS", "0.1")
            yield EcsHarness(folder, faults, boto3.client("ecs", endpoint_url=aws))


@pytest.fixture
def ecs(ecs_for_all: EcsHarness, monkeypatch: pytest.MonkeyPatch) -> Iterator[EcsHarness]:
    """The harness, reset for one more job; a test may set `RATCHET_ECS_…` before it runs the job."""
    ecs_for_all.reset()
    orchestration_settings.ecs_settings.cache_clear()
    yield ecs_for_all
    orchestration_settings.ecs_settings.cache_clear()
