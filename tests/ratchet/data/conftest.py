"""A real S3 to download from: ministack as a child process on a free loopback port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from ratchet.jobs import Work
from ratchet.storage import FolderStorage


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """The work of an ingest job on a folder store."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Work(FolderStorage(tmp_path / "store"), "raw/seed", folder)


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3 that lives as long as the module's tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("ministack")
    here = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SERVICES": "s3", "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env={**os.environ, **here}, stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"ministack did not come up on port {port}; it exited with {server.poll()}.")


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty bucket; the environment points boto3 at it, as it would for a job."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="reviews", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield "reviews"
    for entry in client.list_objects_v2(Bucket="reviews").get("Contents", []):
        client.delete_object(Bucket="reviews", Key=entry["Key"])
    client.delete_bucket(Bucket="reviews")
