"""The stand-in for AWS without containers, behind the proxy; the tests of the proxy itself and of the store use it."""

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
class Place:
    """One AWS with two addresses: through the proxy, and past it."""

    through: str
    past: str
    faults: Faults

    def client(self, service: str, endpoint: str = "") -> Any:
        """A client that sends each request once."""
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=endpoint or self.through, config=config)


@pytest.fixture(scope="session")
def whole_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    aws, faults = f"http://127.0.0.1:{port}", Faults()
    with Children(root / "logs") as children, proxy.running(aws, faults) as endpoint:
        services.start_aws(children, port, "", root)
        children.wait_for("aws", f"{aws}/_ministack/health")
        place = Place(endpoint, aws, faults)
        place.client("s3", aws).create_bucket(Bucket=BUCKET)
        yield place


@pytest.fixture
def place(whole_place: Place) -> Place:
    """Nothing goes wrong until a test says so."""
    whole_place.faults.begin()
    return whole_place
