"""The store in a bucket bears what S3 does on a bad day, and says so when it cannot."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from faults.conftest import BUCKET, Place
from harness.fault_kinds import Kind
from ratchet.errors import MissingInput, ServiceUnavailable
from ratchet.jobs.storage import Storage, open_storage

IN_THE_NETWORK = (Kind.RESET, Kind.LOST, Kind.CUT)
LUCKY = 82426
"""A seed of the dice that botocore draws its waits with: eight of them take 5 s in all, and 45 s on average."""


@pytest.fixture
def store(place: Place, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.through)
    return open_storage(f"s3://{BUCKET}/store")


@pytest.mark.parametrize("kind", [Kind.UNAVAILABLE, Kind.THROTTLED, *IN_THE_NETWORK])
def test_every_use_of_the_store_bears_a_fault(store: Storage, place: Place, tmp_path: Path, kind: Kind) -> None:
    """One that comes once to each kind of request, in the middle of an object, too."""
    content = os.urandom(1 << 16)
    (tmp_path / "file").write_bytes(content)
    for verb in ("PUT", "GET", "HEAD", "DELETE"):
        place.faults.order(verb, kind)
    store.upload(tmp_path / "file", "uploaded")
    store.write("written", content)
    assert store.read("uploaded") == content
    place.faults.order("GET", kind)
    store.download("written", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    place.faults.order("GET", kind)
    assert store.list("") == ["uploaded", "written"]
    store.delete("written")
    assert not store.exists("written")
    assert sum(place.faults.injected.values()) == 6


def test_a_missing_key_is_missing_at_once(store: Storage) -> None:
    """Nothing is tried again for it."""
    with pytest.raises(MissingInput, match="nothing is not in the store"):
        store.read("nothing")


def test_an_s3_that_is_down_is_a_service_that_does_not_answer(store: Storage, place: Place) -> None:
    """Within two minutes, for Airflow's retries to take over, and with a word on what to do.

    Nine attempts: botocore waits in between up to 1, 2, 4, 8, 16 and three times 20 s, 91 s at most.
    """
    place.faults.begin(rate=1.0, kinds=(Kind.UNAVAILABLE,))
    dice = random.getstate()
    random.seed(LUCKY)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"S3 did not answer for .*/anything: .* Check AWS_ENDPOINT_URL"):
        store.read("anything")
    assert time.monotonic() - began < 120
    assert place.faults.seen == {"HEAD": 9}
    random.setstate(dice)
