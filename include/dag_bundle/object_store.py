"""The store of releases: a bucket or a folder, by its URI.

`ratchet.jobs.storage` does the same and more, but it is part of a release, so it cannot fetch one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from dag_bundle.errors import NotFound, ReleaseError, StoreUnavailable


class ObjectStore(Protocol):
    """Bytes by key. Keys are relative and use `/`. Writes are atomic: a reader gets the old bytes or the new ones."""

    uri: str

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises NotFound, and StoreUnavailable if the store does not answer."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write the bytes under `key`. Raises StoreUnavailable if the store does not answer."""
        ...


class FolderStore:
    """A store in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def get(self, key: str) -> bytes:
        """The bytes of the file `key`. Raises NotFound."""
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"{key} is not in {self.uri}.") from None

    def put(self, key: str, data: bytes) -> None:
        """Write the file `key` under a temporary name, then rename it."""
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, staging = tempfile.mkstemp(dir=target.parent, prefix=".aside-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(staging).replace(target)


class BucketStore:
    """A store in S3, under `s3://bucket/prefix`. boto3 finds endpoint and credentials as usual."""

    def __init__(self, uri: str) -> None:
        import boto3
        from botocore.config import Config

        parts = urlsplit(uri)
        self.uri, self.bucket, self.prefix = uri.rstrip("/"), parts.netloc, parts.path.strip("/")
        # These limits report an outage within a minute. The DAG processor retries by itself, so more would not help.
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
        self.client = boto3.client("s3", config=config)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def get(self, key: str) -> bytes:
        """The bytes of the object. Raises NotFound and StoreUnavailable."""
        with self._errors(key):
            data: bytes = self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write the object. Raises StoreUnavailable."""
        with self._errors(key):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                raise NotFound(f"{key} is not in {self.uri}.") from None
            raise StoreUnavailable(
                f"S3 refused {self.uri}/{key}: {error}. Check that the bucket exists and that the role may use it."
            ) from error
        except BotoCoreError as error:
            raise StoreUnavailable(
                f"S3 did not answer for {self.uri}/{key}: {error}. Check AWS_ENDPOINT_URL, region and credentials."
            ) from error


def open_store(uri: str) -> ObjectStore:
    """The store at `s3://bucket/prefix` or in a folder. Raises ReleaseError for any other URI."""
    scheme = urlsplit(uri).scheme
    if scheme == "s3":
        return BucketStore(uri)
    if scheme in {"", "file"}:
        return FolderStore(Path(uri.removeprefix("file://")))
    raise ReleaseError(f"{uri!r} is neither s3://bucket/prefix nor a folder. Give one of the two.")
