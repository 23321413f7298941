"""Downloads that break off, continue, and are verified; S3 is ministack, Kaggle's client calls a local server."""

from __future__ import annotations

import http.server
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import FlexibleChecksumError, ResponseStreamingError

from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.sources import kaggle as kaggle_source
from ratchet.sources import s3

DATA = os.urandom(3_000_000)
KEY = "in/train.csv.gz"


class Killed(BaseException):
    """Replaces kill -9: the code cannot catch it."""


class Unsteady:
    """An S3 client that records the requested ranges, and whose connections fail in a given order.

    `failures` are the errors of the first connections, each raised after `after` bytes; later ones do not fail.
    """

    def __init__(self, *failures: BaseException, after: int = 1_500_000) -> None:
        self.client = boto3.client("s3")
        self.failures, self.after = list(failures), after
        self.requested: list[str] = []

    def head_object(self, **request: Any) -> dict[str, Any]:
        return self.client.head_object(**request)

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.requested.append(request.get("Range", "all"))
        response = self.client.get_object(**request)
        return {**response, "Body": self} if self._began(response["Body"]) else response

    def _began(self, body: Any) -> bool:
        self.body = body
        return bool(self.failures)

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield self.body.read(self.after)
        raise self.failures.pop(0)


def put(bucket: str, data: bytes, key: str = KEY) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=data)


def broken() -> ResponseStreamingError:
    return ResponseStreamingError(error="connection reset")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3.time, "sleep", lambda seconds: None)


def test_an_object_is_downloaded_once(bucket: str, tmp_path: Path) -> None:
    """The second fetch finds the file in the cache and requests no byte."""
    put(bucket, DATA)
    for requested in (["all"], []):
        client = Unsteady()
        path = s3.fetch(client, bucket, KEY, tmp_path)
        assert (path.name, path.read_bytes()) == ("train.csv.gz", DATA)
        assert client.requested == requested


def test_a_killed_download_resumes(bucket: str, tmp_path: Path) -> None:
    """After a kill in the middle, only the missing bytes are requested, and the file is complete."""
    put(bucket, DATA)
    with pytest.raises(Killed):
        s3.fetch(Unsteady(Killed()), bucket, KEY, tmp_path)
    assert not list(tmp_path.rglob("train.csv.gz"))
    client = Unsteady()
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA
    assert client.requested == ["bytes=1500000-"]


def test_a_broken_connection_is_opened_again(bucket: str, tmp_path: Path, no_waiting: None) -> None:
    """After two resets there are two more requests, each for the bytes that are then missing."""
    put(bucket, DATA)
    client = Unsteady(broken(), broken(), after=1_000_000)
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA
    assert client.requested == ["all", "bytes=1000000-", "bytes=2000000-"]


def test_connections_without_progress_end_in_an_error(bucket: str, tmp_path: Path, no_waiting: None) -> None:
    """Five empty responses in a row are an error, which names the bytes downloaded and that a new run continues."""
    put(bucket, DATA)
    client = Unsteady(*[broken() for _ in range(9)], after=0)
    with pytest.raises(ServiceUnavailable, match=r"broke off at 0 of 3000000 bytes.*continues from there"):
        s3.fetch(client, bucket, KEY, tmp_path)
    assert len(client.requested) == s3.TRIES


def test_a_changed_object_starts_over(bucket: str, tmp_path: Path) -> None:
    """Bytes of another ETag are never continued, and are removed from the cache."""
    put(bucket, DATA)
    with pytest.raises(Killed):
        s3.fetch(Unsteady(Killed()), bucket, KEY, tmp_path)
    put(bucket, DATA[::-1])
    client = Unsteady()
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA[::-1]
    assert client.requested == ["all"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "train.csv.gz", "train.csv.gz.sha256",
    ]  # fmt: skip


def test_an_object_replaced_meanwhile_is_refused(bucket: str, tmp_path: Path, no_waiting: None) -> None:
    """If-Match prevents a mixture of two versions; the next run downloads the new one."""
    put(bucket, DATA)
    client = Unsteady(broken())
    began = client._began

    def replace(body: Any) -> bool:
        put(bucket, DATA[::-1])
        return began(body)

    client._began = replace  # type: ignore[method-assign]
    with pytest.raises(ServiceUnavailable, match=r"PreconditionFailed.*run again: it starts over"):
        s3.fetch(client, bucket, KEY, tmp_path)
    assert s3.fetch(Unsteady(), bucket, KEY, tmp_path).read_bytes() == DATA[::-1]


def test_bytes_with_a_wrong_checksum_are_discarded(bucket: str, tmp_path: Path, no_waiting: None) -> None:
    """If S3's checksum does not match, the download starts over instead of continuing after bad bytes."""
    put(bucket, DATA)
    client = Unsteady(FlexibleChecksumError(error_msg="wrong"))
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA
    assert client.requested == ["all", "all"]


def test_a_resumed_download_with_bad_bytes_is_discarded(bucket: str, tmp_path: Path) -> None:
    """A first half that the disk altered has the right length but not the ETag's MD5; the next run starts over."""
    put(bucket, DATA)
    with pytest.raises(Killed):
        s3.fetch(Unsteady(Killed()), bucket, KEY, tmp_path)
    next(tmp_path.rglob("*.partial")).write_bytes(bytes(1_500_000))
    with pytest.raises(ServiceUnavailable, match=r"arrived damaged: its MD5 is .*starts over"):
        s3.fetch(Unsteady(), bucket, KEY, tmp_path)
    client = Unsteady()
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA
    assert client.requested == ["all"]


@pytest.mark.parametrize("changes", [{"ETag": '"abc-2"'}, {"ETag": '"abc"', "ServerSideEncryption": "aws:kms"}])
def test_an_etag_that_is_no_md5_is_not_compared(changes: dict[str, str], tmp_path: Path) -> None:
    """Objects uploaded in parts, or encrypted by KMS, have ETags of another kind."""
    (tmp_path / "x").write_bytes(b"x")
    s3._check(tmp_path / "x", changes, "s3://b/x")
    with pytest.raises(ServiceUnavailable, match="arrived damaged"):
        s3._check(tmp_path / "x", {"ETag": '"abc"', "ServerSideEncryption": "AES256"}, "s3://b/x")


@pytest.mark.parametrize("name", ["train.csv.gz", "train.csv.gz.sha256"])
def test_an_altered_cache_is_downloaded_again(name: str, bucket: str, tmp_path: Path) -> None:
    """A cached file that does not match the SHA-256 beside it is not used; either of the two may be altered."""
    put(bucket, DATA)
    path = s3.fetch(Unsteady(), bucket, KEY, tmp_path)
    path.with_name(name).write_bytes(bytes(64))
    client = Unsteady()
    assert s3.fetch(client, bucket, KEY, tmp_path).read_bytes() == DATA
    assert client.requested == ["all"]


def test_an_object_that_cannot_be_read_is_named(tmp_path: Path, bucket: str) -> None:
    """A key that is gone ends in an error with its URI."""
    with pytest.raises(ServiceUnavailable, match="s3://reviews/in/nothing cannot be read"):
        s3.fetch(boto3.client("s3"), bucket, "in/nothing", tmp_path)


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials for Kaggle in any variable or file that its client reads."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def kaggle(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bytes], list[str]]]:
    """A function of status and body: Kaggle's real client gets this response. Returns the list of later requests."""
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    servers = []

    def respond(status: int, body: bytes) -> list[str]:
        requests: list[str] = []

        class Response(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                requests.append(f"{self.path} {self.rfile.read(length).decode()}")
                self.send_response(status)
                self.send_header("Content-Type", "application/zip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Response)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        from kaggle import KaggleApi
        from kagglesdk import kaggle_env

        monkeypatch.setattr(KaggleApi, "args", ["--local"])
        monkeypatch.setitem(
            kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, f"http://127.0.0.1:{server.server_port}"
        )
        return requests

    yield respond
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_kaggle_dataset_is_downloaded_by_its_own_client(kaggle: Any, tmp_path: Path, capsys: Any) -> None:
    """The dataset is requested by its name, its zip is in the cache, and stdout has none of the client's output."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("train.csv", '"2","Fine","It works."\n')
    requests = kaggle(200, body.getvalue())
    path = kaggle_source.fetch("someone/reviews", tmp_path / "cache")
    assert (path.name, path.read_bytes()) == ("reviews.zip", body.getvalue())
    assert any("someone" in line and "reviews" in line for line in requests)
    assert "Dataset URL" not in capsys.readouterr().out


def test_a_refusal_by_kaggle_is_an_error(kaggle: Any, tmp_path: Path) -> None:
    """A 403 ends in an error that names the dataset and what to check."""
    kaggle(403, b"")
    with pytest.raises(ServiceUnavailable, match=r"did not deliver someone/reviews: 403.*terms"):
        kaggle_source.fetch("someone/reviews", tmp_path / "cache")


def test_kaggle_without_credentials_is_refused_before_any_request(no_credentials: None, tmp_path: Path) -> None:
    """The message names the variables and the file, and the cache is not created."""
    with pytest.raises(ConfigurationError, match=r"KAGGLE_USERNAME and KAGGLE_KEY.*kaggle\.json"):
        kaggle_source.fetch("someone/reviews", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["reviews", "a/b/c", "../x", "a/..", ""])
def test_a_name_of_no_dataset_is_refused(name: str, tmp_path: Path) -> None:
    """Only owner/dataset can become a path in the cache."""
    with pytest.raises(ConfigurationError, match="no Kaggle dataset"):
        kaggle_source.fetch(name, tmp_path)


@pytest.mark.parametrize("file", [".kaggle/kaggle.json", ".config/kaggle/kaggle.json", ".kaggle/access_token"])
def test_credentials_in_a_file_are_found(no_credentials: None, file: str) -> None:
    """Each file that the client reads counts as credentials."""
    assert not kaggle_source._has_credentials()
    path = Path.home() / file
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert kaggle_source._has_credentials()
