"""Ten weeks of the real DAG with faults in AWS: the same bytes and one launch per job, or a failure with a reason.

Airflow, the jobs and MLflow's server all reach AWS through the proxy, so each of their requests may get a fault.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from harness import fault_proxy as proxy
from harness.fault_kinds import FaultKind
from harness.fault_proxy import Faults
from local import provision
from local.processes import services
from local.processes.services import Services

pytestmark = pytest.mark.minutes
WEEKS = 10
SOURCE = "synthetic:rows=4000&test_rows=1000&seed=1"
FIRST = "2026-01-05"
RETRY_SECONDS = 15
MAX_SECONDS = 360
"""Three tries, 30 s apart, each with the retry budget set here or with boto3's nine attempts, 91 s at most."""
FIELDS_OF_ONE_RUN = {"seconds", "peak_memory_mib", "finished_at", "launch", "dag_run", "code_version"}
FIELDS_OF_MLFLOW = {"mlflow", "run", "run_id", "seconds"}


@dataclass(frozen=True)
class Outcome:
    """The result of ten weeks: digests of objects by key, and number of ECS tasks by launch token."""

    objects: dict[str, str]
    launches: Counter[str]


@contextmanager
def up(root: Path, faults: Faults) -> Iterator[Services]:
    """All services, behind a proxy with these faults."""
    with services.running(
        root, source=SOURCE, cache=root / "cache", aws_proxy=lambda aws: proxy.running(aws, faults)
    ) as running:
        yield running


def weeks(running: Services, first: str, number: int, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.dag_runs", first, str(number)]
    env = {**running.environment, **settings}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def ten_weeks(root: Path, faults: Faults) -> Outcome:
    rate, faults.rate = faults.rate, 0.0
    with up(root, faults) as running:
        faults.rate = rate
        done = weeks(running, FIRST, WEEKS)
        faults.rate = 0.0
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return Outcome(dict(objects(running.endpoint)), Counter(launches(running.endpoint)))


def client(service: str, endpoint: str) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": services.REGION}
    return boto3.client(service, endpoint_url=endpoint, **keys)


def objects(endpoint: str) -> Iterator[tuple[str, str]]:
    """Key and digest of every object of the jobs; JSON is compared without the fields that differ between runs."""
    s3 = client("s3", endpoint)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=provision.BUCKET):
        for entry in page["Contents"]:
            if not entry["Key"].startswith("mlflow/"):
                content = s3.get_object(Bucket=provision.BUCKET, Key=entry["Key"])["Body"].read()
                if entry["Key"].endswith(".json"):
                    content = json.dumps(reproducible(json.loads(content)), sort_keys=True).encode()
                yield entry["Key"], hashlib.sha256(content).hexdigest()


def reproducible(content: Any) -> Any:
    """The content without the fields that depend on the time of a run or on MLflow's ids."""
    if isinstance(content, dict):
        return {
            name: reproducible(each)
            for name, each in content.items()
            if name not in FIELDS_OF_ONE_RUN | FIELDS_OF_MLFLOW
        }
    return [reproducible(each) for each in content] if isinstance(content, list) else content


def launches(endpoint: str) -> Iterator[str]:
    """The launch token of each ECS task, which stands for its DAG run and task."""
    ecs = client("ecs", endpoint)
    for state in ("RUNNING", "STOPPED"):
        for page in ecs.get_paginator("list_tasks").paginate(cluster=provision.CLUSTER, desiredStatus=state):
            described = ecs.describe_tasks(cluster=provision.CLUSTER, tasks=page["taskArns"])["tasks"]
            yield from (task["startedBy"] for task in described)


@pytest.fixture(scope="module")
def without_faults(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The result of ten weeks without faults."""
    return ten_weeks(tmp_path_factory.mktemp("without_faults"), Faults())


def test_ten_weeks_with_a_fault_in_every_tenth_request_end_with_the_same_bytes(
    without_faults: Outcome, tmp_path: Path
) -> None:
    """Every object is the same as without faults, and no job was launched twice."""
    faults = Faults(rate=0.1, seed=1)
    with_faults = ten_weeks(tmp_path, faults)
    assert {key for key, digest in without_faults.objects.items() if with_faults.objects.get(key) != digest} == set()
    assert with_faults.objects.keys() == without_faults.objects.keys()
    assert len(with_faults.launches) == len(without_faults.launches)
    assert {token for token, number in with_faults.launches.items() if number > 1} == set()
    kinds = {kind for _, kind in faults.injected}
    assert {
        FaultKind.UNAVAILABLE,
        FaultKind.THROTTLED,
        FaultKind.RESET,
        FaultKind.RESPONSE_LOST,
        FaultKind.RESPONSE_TRUNCATED,
        FaultKind.RESPONSE_LATE,
        FaultKind.NO_LOG_STREAM,
    } <= kinds
    assert 0.05 < sum(faults.injected.values()) / sum(faults.requests.values()) < 0.15
    assert faults.requests["DELETE"] > 0, "only jobs delete objects, so their requests did not pass the proxy"


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Faults]]:
    """All services, behind a proxy that can give every request a fault."""
    faults = Faults(
        kinds=(
            FaultKind.UNAVAILABLE,
            FaultKind.THROTTLED,
            FaultKind.RESET,
            FaultKind.RESPONSE_LOST,
            FaultKind.RESPONSE_TRUNCATED,
        )
    )
    with up(tmp_path_factory.mktemp("outage"), faults) as running:
        yield running, faults


@pytest.mark.parametrize(
    ("affected", "reason"),
    [
        ({"s3", "ecs", "logs"}, r"ECS at http://\S+ did not answer for \d+ s: .* Check AWS_ENDPOINT_URL, region"),
        ({"s3"}, r"S3 did not answer for s3://\S+: .* Check AWS_ENDPOINT_URL, region"),
    ],
)
def test_an_outage_of_aws_fails_the_run_in_time_and_with_a_reason(
    outage: tuple[Services, Faults], affected: set[str], reason: str
) -> None:
    """The DAG run fails within six minutes, including all of Airflow's tries, and without a launch."""
    running, faults = outage
    faults.services, faults.rate = frozenset(affected), 1.0
    began = time.monotonic()
    done = weeks(running, FIRST, 1, RATCHET_ECS_PATIENCE_SECONDS=str(RETRY_SECONDS))
    seconds = time.monotonic() - began
    faults.rate = 0.0
    output = done.stdout + done.stderr
    assert done.returncode == 1, output[-4000:]
    assert re.search(reason, output), output[-4000:]
    assert seconds < MAX_SECONDS
    assert list(launches(running.endpoint)) == []
