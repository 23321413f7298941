"""A remote source is downloaded with the credentials of the shell, before the emulator replaces S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local.processes import services
from local.processes.children import Children, free_port
from local.remote_source import download_if_remote
from ratchet.errors import ConfigurationError

REVIEWS = '"1","Bad","It broke."\n"2","Good","It works."\n'


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An S3 other than the demo's, to which the AWS variables of the shell point."""
    root, port = tmp_path_factory.mktemp("outside"), free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with Children(root / "logs") as children, pytest.MonkeyPatch.context() as patch:
        services.start_aws(children, port, "", root)
        children.wait_for("aws", f"{endpoint}/_ministack/health")
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="remote")
        for name in ("train.csv", "test.csv"):
            s3.put_object(Bucket="remote", Key=f"reviews/{name}", Body=REVIEWS.encode())
        yield


def test_a_bucket_is_downloaded_into_a_folder(outside: None, tmp_path: Path) -> None:
    """The jobs read it like any folder."""
    folder = Path(download_if_remote("s3://remote/reviews/", tmp_path / "cache", tmp_path / "source"))
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"train.csv": REVIEWS, "test.csv": REVIEWS}


def test_a_missing_bucket_is_reported_before_any_service_starts(outside: None, tmp_path: Path) -> None:
    """A wrong bucket costs a second, not the minute that the services take to start."""
    with pytest.raises(Exception, match="nowhere"):
        download_if_remote("s3://nowhere/reviews/", tmp_path / "cache", tmp_path / "source")


def test_kaggle_without_credentials_names_the_variables_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is sent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="KAGGLE_USERNAME"):
        download_if_remote("kaggle:owner/set", tmp_path / "cache", tmp_path / "source")


def test_a_local_source_is_not_copied(tmp_path: Path) -> None:
    """A local path or the generator needs no download."""
    assert download_if_remote("synthetic:rows=500", tmp_path, tmp_path / "source") == "synthetic:rows=500"
    assert not (tmp_path / "source").exists()
