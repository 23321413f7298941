"""An S3 endpoint for tests: ministack as a child process on a free loopback port, with other services if named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from harness.processes import end


@contextmanager
def endpoint(folder: Path, services: str = "s3") -> Iterator[str]:
    """Run ministack with these services while the block runs; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SERVICES": services, "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env={**os.environ, **settings}, stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(server, 10)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"ministack did not come up on port {port}; it exited with {server.poll()}.")


@contextmanager
def empty_bucket(url: str) -> Iterator[str]:
    """Make an empty bucket, set the environment so that boto3 finds it, as for a job, and yield its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="reviews", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield "reviews"
        for entry in client.list_objects_v2(Bucket="reviews").get("Contents", []):
            client.delete_object(Bucket="reviews", Key=entry["Key"])
        client.delete_bucket(Bucket="reviews")
