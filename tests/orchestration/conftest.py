"""A stage for the operator: the real ECS API of the stand-in, real processes, and a proxy that can break things."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from harness import fault_proxy as proxy
from harness.ecs import Stage
from harness.fault_proxy import Faults
from local import provision
from local.docker_api import Image
from local.processes import services
from local.processes.children import Children, free_port
from local.provision import JobEnvironment
from orchestration import settings as orchestration_settings


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """ECS on processes, its image being `fake_job.py`. Airflow goes through the proxy, jobs do not."""
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    behaviour = tmp_path_factory.mktemp("behaviour")
    aws, faults = f"http://127.0.0.1:{port}", Faults()
    image = Image(
        [sys.executable, str(Path(__file__).with_name("fake_job.py"))],
        {"PYTHONPATH": str(services.PROJECT / "include"), "FAKE_BEHAVIOUR": str(behaviour)},
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
            yield Stage(behaviour, faults, boto3.client("ecs", endpoint_url=aws))


@pytest.fixture
def stage(whole_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The stage, set up for one more job; a test may set `RATCHET_ECS_…` before it runs the job."""
    whole_stage.reset()
    orchestration_settings.ecs_settings.cache_clear()
    yield whole_stage
    orchestration_settings.ecs_settings.cache_clear()
