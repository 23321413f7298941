"""Fixtures of many tests: the context of a job, and a bucket of a local S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import local_s3
from ratchet.jobs.base import JobContext
from ratchet.jobs.storage import FolderStorage


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """The context of an ingest job on a folder store."""
    folder = tmp_path / "job"
    folder.mkdir()
    return JobContext(FolderStorage(tmp_path / "store"), "raw/seed", folder)


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a local S3 that runs for the tests of one module."""
    with local_s3.endpoint(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture
def bucket(s3_endpoint: str) -> Iterator[str]:
    """The name of an empty bucket; the environment points boto3 at it, as it would for a job."""
    with local_s3.empty_bucket(s3_endpoint) as name:
        yield name
