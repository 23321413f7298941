"""Where releases are kept: a bucket or a folder, by its URI.

`ratchet.jobs.storage` does the same and more, but comes out of a release, so it cannot be what fetches one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from dag_bundle.errors import DeliveryError, NotFound, PlaceUnavailable


class Place(Protocol):
    """Keys are relative, with `/`; a key holds all old bytes or all new ones."""

    uri: str

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises NotFound."""
        ...

    def put(self, key: str, data: bytes) -> None: ...


class Folder:
    """A place on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def get(self, key: str) -> bytes:
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"{key} is not in {self.uri}.") from None

    def put(self, key: str, data: bytes) -> None:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=".aside-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(aside, target)


class Bucket:
    """A place in S3, under `s3://bucket/prefix`; endpoint and credentials are found as boto3 finds them."""

    def __init__(self, uri: str) -> None:
        import boto3
        from botocore.config import Config

        parts = urlsplit(uri)
        self.uri, self.bucket, self.prefix = uri.rstrip("/"), parts.netloc, parts.path.strip("/")
        # An outage is noticed within a minute: the DAG processor asks again by itself.
        patience = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
        self.client = boto3.client("s3", config=patience)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def get(self, key: str) -> bytes:
        with self._errors(key):
            return self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def put(self, key: str, data: bytes) -> None:
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
            raise PlaceUnavailable(f"S3 refused {self.uri}/{key}: {error}. Check the bucket and the role.") from error
        except BotoCoreError as error:
            hint = "Check AWS_ENDPOINT_URL, region and credentials."
            raise PlaceUnavailable(f"S3 did not answer for {self.uri}/{key}: {error}. {hint}") from error


def open_place(uri: str) -> Place:
    """The place at a URI: `s3://bucket/prefix`, or a folder."""
    scheme = urlsplit(uri).scheme
    if scheme == "s3":
        return Bucket(uri)
    if scheme in {"", "file"}:
        return Folder(Path(uri.removeprefix("file://")))
    raise DeliveryError(f"The place {uri!r} is neither s3://bucket/prefix nor a folder.")
