"""Ten weeks of the real DAG while AWS misbehaves: the same bytes, each job launched once; or an end with a reason.

Airflow, the jobs and MLflow's server all reach AWS through the proxy, so every one of their requests may break.
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
from harness.fault_kinds import Kind
from harness.fault_proxy import Faults
from local import provision
from local.processes import services
from local.processes.services import Services

pytestmark = pytest.mark.minutes
WEEKS = 10
SOURCE = "synthetic:rows=4000&test_rows=1000&seed=1"
FIRST = "2026-01-05"
PATIENCE = 15
BOUND = 360
"""Seconds: three tries, 30 s apart, each with the patience set here or with boto3's nine attempts, 91 s at most."""
OF_THIS_RUN = {"seconds", "peak_memory_mib", "finished_at", "launch", "dag_run", "code_version"}
OF_MLFLOW = {"mlflow", "run", "run_id", "seconds"}


@dataclass(frozen=True)
class Outcome:
    """What a run of ten weeks leaves behind: its objects by digest, and its launches by their token."""

    objects: dict[str, str]
    launches: Counter[str]


@contextmanager
def up(root: Path, faults: Faults) -> Iterator[Services]:
    """All services, behind a proxy that does nothing until the faults are set."""
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
    """Key and digest of everything the jobs have made; of manifests and evidence without what is of one run only."""
    s3 = client("s3", endpoint)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=provision.BUCKET):
        for entry in page["Contents"]:
            if not entry["Key"].startswith("mlflow/"):
                content = s3.get_object(Bucket=provision.BUCKET, Key=entry["Key"])["Body"].read()
                if entry["Key"].endswith(".json"):
                    content = json.dumps(lasting(json.loads(content)), sort_keys=True).encode()
                yield entry["Key"], hashlib.sha256(content).hexdigest()


def lasting(content: Any) -> Any:
    """What does not depend on when a run was, and on which ids MLflow has drawn for it."""
    if isinstance(content, dict):
        return {name: lasting(each) for name, each in content.items() if name not in OF_THIS_RUN | OF_MLFLOW}
    return [lasting(each) for each in content] if isinstance(content, list) else content


def launches(endpoint: str) -> Iterator[str]:
    """Which DAG run and task each ECS task was started by."""
    ecs = client("ecs", endpoint)
    for state in ("RUNNING", "STOPPED"):
        for page in ecs.get_paginator("list_tasks").paginate(cluster=provision.CLUSTER, desiredStatus=state):
            described = ecs.describe_tasks(cluster=provision.CLUSTER, tasks=page["taskArns"])["tasks"]
            yield from (task["startedBy"] for task in described)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What ten weeks leave behind when nothing goes wrong."""
    return ten_weeks(tmp_path_factory.mktemp("calm"), Faults())


def test_ten_weeks_with_every_tenth_request_broken_end_with_the_same_bytes(calm: Outcome, tmp_path: Path) -> None:
    """Every object is what it is without faults, and no job was launched a second time."""
    faults = Faults(rate=0.1, seed=1)
    stormy = ten_weeks(tmp_path, faults)
    assert {key for key, digest in calm.objects.items() if stormy.objects.get(key) != digest} == set()
    assert stormy.objects.keys() == calm.objects.keys()
    assert len(stormy.launches) == len(calm.launches)
    assert {token for token, number in stormy.launches.items() if number > 1} == set()
    struck = {kind for _, kind in faults.injected}
    assert {Kind.UNAVAILABLE, Kind.THROTTLED, Kind.RESET, Kind.LOST, Kind.CUT, Kind.SLOW, Kind.NO_STREAM} <= struck
    assert 0.05 < sum(faults.injected.values()) / sum(faults.seen.values()) < 0.15
    assert faults.seen["DELETE"] > 0, "only jobs delete, so theirs do not come through the proxy"


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, Faults]]:
    """All services up, behind a proxy that can break every request."""
    faults = Faults(kinds=(Kind.UNAVAILABLE, Kind.THROTTLED, Kind.RESET, Kind.LOST, Kind.CUT))
    with up(tmp_path_factory.mktemp("down"), faults) as running:
        yield running, faults


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"s3", "ecs", "logs"}, r"ECS at http://\S+ did not answer for \d+ s: .* Check AWS_ENDPOINT_URL, region"),
        ({"s3"}, r"S3 did not answer for s3://\S+: .* Check AWS_ENDPOINT_URL, region"),
    ],
)
def test_an_aws_that_never_answers_ends_the_run_in_time_and_with_a_reason(
    down: tuple[Services, Faults], broken: set[str], reason: str
) -> None:
    """Within six minutes, all of Airflow's tries included, and without a launch."""
    running, faults = down
    faults.services, faults.rate = frozenset(broken), 1.0
    began = time.monotonic()
    done = weeks(running, FIRST, 1, RATCHET_ECS_PATIENCE_SECONDS=str(PATIENCE))
    seconds = time.monotonic() - began
    faults.rate = 0.0
    said = done.stdout + done.stderr
    assert done.returncode == 1, said[-4000:]
    assert re.search(reason, said), said[-4000:]
    assert seconds < BOUND
    assert list(launches(running.endpoint)) == []
