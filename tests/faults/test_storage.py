"""A store in a bucket tolerates single faults of S3, and reports an outage."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from faults.conftest import BUCKET, AwsEndpoints
from harness.fault_kinds import FaultKind
from ratchet.errors import MissingInput, ServiceUnavailable
from ratchet.jobs.storage import Storage, open_storage

IN_THE_NETWORK = (FaultKind.RESET, FaultKind.RESPONSE_LOST, FaultKind.RESPONSE_TRUNCATED)
SEED = 82426
"""A seed of the generator from which botocore draws its waits: eight of them then take 5 s, and 45 s on average."""


@pytest.fixture
def store(aws: AwsEndpoints, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.proxied)
    return open_storage(f"s3://{BUCKET}/store")


@pytest.mark.parametrize("kind", [FaultKind.UNAVAILABLE, FaultKind.THROTTLED, *IN_THE_NETWORK])
def test_every_operation_of_the_store_tolerates_a_fault(
    store: Storage, aws: AwsEndpoints, tmp_path: Path, kind: FaultKind
) -> None:
    """One fault per kind of request, also in the middle of an object."""
    content = os.urandom(1 << 16)
    (tmp_path / "file").write_bytes(content)
    for verb in ("PUT", "GET", "HEAD", "DELETE"):
        aws.faults.inject(verb, kind)
    store.upload(tmp_path / "file", "uploaded")
    store.write("written", content)
    assert store.read("uploaded") == content
    aws.faults.inject("GET", kind)
    store.download("written", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    aws.faults.inject("GET", kind)
    assert store.list("") == ["uploaded", "written"]
    store.delete("written")
    assert not store.exists("written")
    assert sum(aws.faults.injected.values()) == 6


def test_a_missing_key_is_reported_without_retries(store: Storage) -> None:
    """A retry would not find it either."""
    with pytest.raises(MissingInput, match="nothing is not in the store"):
        store.read("nothing")


def test_an_outage_of_s3_is_an_error_with_a_remedy(store: Storage, aws: AwsEndpoints) -> None:
    """It is raised within two minutes, so that Airflow's retries can follow, and names the remedy.

    botocore makes nine attempts and waits in between up to 1, 2, 4, 8, 16 and three times 20 s, 91 s at most.
    """
    aws.faults.reset(rate=1.0, kinds=(FaultKind.UNAVAILABLE,))
    state = random.getstate()
    random.seed(SEED)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"S3 did not answer for .*/anything: .* Check AWS_ENDPOINT_URL"):
        store.read("anything")
    assert time.monotonic() - began < 120
    assert aws.faults.requests == {"HEAD": 9}
    random.setstate(state)
