"""The AWS emulator without containers, behind the proxy, for the tests of the proxy itself and of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from harness import fault_proxy as proxy
from harness.fault_proxy import Faults
from local.processes import services
from local.processes.children import Children, free_port

BUCKET = "faults"


@dataclass(frozen=True)
class AwsEndpoints:
    """One emulator with two addresses: through the proxy, and direct."""

    proxied: str
    direct: str
    faults: Faults

    def client(self, service: str, endpoint: str = "") -> Any:
        """A client that sends each request once."""
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=endpoint or self.proxied, config=config)


@pytest.fixture(scope="session")
def aws_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsEndpoints]:
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    direct, faults = f"http://127.0.0.1:{port}", Faults()
    with Children(root / "logs") as children, proxy.running(direct, faults) as proxied:
        services.start_aws(children, port, "", root)
        children.wait_for("aws", f"{direct}/_ministack/health")
        endpoints = AwsEndpoints(proxied, direct, faults)
        endpoints.client("s3", direct).create_bucket(Bucket=BUCKET)
        yield endpoints


@pytest.fixture
def aws(aws_for_all: AwsEndpoints) -> AwsEndpoints:
    """The endpoints, without faults until the test injects some."""
    aws_for_all.faults.reset()
    return aws_for_all
