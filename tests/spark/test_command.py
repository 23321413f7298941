"""The command line starts its own Spark, also for a store in a bucket, and leaves no files or processes."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from harness import local_s3
from ratchet.jobs import keys
from ratchet.jobs.options import ENGINES
from ratchet.jobs.storage import open_storage

LAUNCH = uuid.uuid4().hex


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty bucket of a local S3, in the environment of started processes."""
    with local_s3.endpoint(tmp_path_factory.mktemp("ministack")) as url, local_s3.empty_bucket(url) as name:
        yield f"s3://{name}"


def ratchet(*arguments: str) -> None:
    environment = {**os.environ, "RATCHET_LAUNCH": LAUNCH}
    subprocess.run([sys.executable, "-m", "ratchet", *arguments], check=True, capture_output=True, env=environment)


def remaining() -> Iterator[psutil.Process]:
    """The processes that still have the launch in their environment, under any parent."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("RATCHET_LAUNCH") == LAUNCH:
                yield process


def test_a_bucket_ends_with_the_same_objects(bucket: str) -> None:
    """Every task reads from the bucket and writes into it; scratch files, Java and its workers are gone at the end."""
    objects = []
    for engine in ENGINES:
        store = f"{bucket}/{engine}"
        ratchet("ingest", "--source", "synthetic:rows=3000&test_rows=300", "--store", store)
        for job in ("preprocess", "split"):
            ratchet(job, "--engine", engine, "--store", store)
        storage = open_storage(store)
        objects.append({key: storage.read(key) for key in storage.list("") if not key.endswith(keys.MANIFEST)})
    assert objects[0] == objects[1]
    _, alive = psutil.wait_procs(list(remaining()), timeout=10)
    assert alive == []
