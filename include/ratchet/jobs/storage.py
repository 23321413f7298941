"""A store is a folder or a bucket, by its URI. Writes are atomic: a reader gets all old bytes or all new ones."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from typing_extensions import override

from ratchet.errors import ConfigurationError, IntegrityError, MissingInput, ServiceUnavailable

CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that the names of new files survive a power cut. Bytes are flushed apart."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Storage(Protocol):
    """The interface of a store. Keys are relative, with `/`; reading a missing key raises MissingInput."""

    uri: str

    def exists(self, key: str) -> bool:
        """Whether the store has `key`."""
        ...

    def read(self, key: str) -> bytes:
        """The bytes of `key`."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put bytes under `key`, in place of any that are there."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Put a file's bytes under `key`, in place of any that are there."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy the bytes of `key` into a file."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Every key that begins with `prefix`, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; a key that is not there is no error."""
        ...

    def local(self, key: str) -> AbstractContextManager[Path]:
        """The bytes of `key` as a file that may be read, and not written, inside the `with` block."""
        ...


class FolderStorage(Storage):
    """A store in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root):
            raise ConfigurationError(f"The key {key!r} leads out of the store {self.uri}.")
        return path

    @override
    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    @override
    def read(self, key: str) -> bytes:
        with self.local(key) as path:
            return path.read_bytes()

    @override
    def write(self, key: str, data: bytes) -> None:
        with self._publish(key) as aside:
            aside.write_bytes(data)

    @override
    def upload(self, path: Path, key: str) -> None:
        with self._publish(key) as aside:
            shutil.copyfile(path, aside)

    @override
    def download(self, key: str, path: Path) -> None:
        with self.local(key) as source:
            shutil.copyfile(source, path)

    @override
    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    @override
    def list(self, prefix: str) -> list[str]:
        keys = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return sorted(
            key for key in keys if key.startswith(prefix) and not key.rpartition("/")[2].startswith(".aside-")
        )

    @override
    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        if not path.is_file():
            raise MissingInput(f"{key} is not in the store {self.uri}.")
        yield path

    @contextmanager
    def _publish(self, key: str) -> Iterator[Path]:
        """Write aside, flush to disk, rename last: a reader never sees half a file, whenever the writer dies."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".aside-")
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(target)
            flush_folder(target.parent)
        finally:
            aside.unlink(missing_ok=True)


class BucketStorage(Storage):
    """A store in S3 under `s3://bucket/prefix`. One PUT is atomic; boto3 retries and verifies checksums.

    Every read is a transfer of boto3's, because only those retry when the connection breaks within an object.
    """

    def __init__(self, uri: str) -> None:
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config

        parts = urlsplit(uri)
        self.uri, self.bucket, self.prefix = uri.rstrip("/"), parts.netloc, parts.path.strip("/")
        self.client = boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 8}))
        self.in_one_thread = TransferConfig(use_threads=False)  # ten threads cost more than a small object saves

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @override
    def exists(self, key: str) -> bool:
        try:
            with _s3_errors(self.uri, key):
                self.client.head_object(Bucket=self.bucket, Key=self._key(key))
        except MissingInput:
            return False
        return True

    @override
    def read(self, key: str) -> bytes:
        content = io.BytesIO()
        with _s3_errors(self.uri, key):
            self.client.download_fileobj(self.bucket, self._key(key), content, Config=self.in_one_thread)
        return content.getvalue()

    @override
    def write(self, key: str, data: bytes) -> None:
        with _s3_errors(self.uri, key):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)

    @override
    def upload(self, path: Path, key: str) -> None:
        with _s3_errors(self.uri, key):
            self.client.upload_file(str(path), self.bucket, self._key(key))

    @override
    def download(self, key: str, path: Path) -> None:
        with _s3_errors(self.uri, key):
            self.client.download_file(self.bucket, self._key(key), str(path))

    @override
    def delete(self, key: str) -> None:
        with _s3_errors(self.uri, key):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    @override
    def list(self, prefix: str) -> list[str]:
        with _s3_errors(self.uri, prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return sorted(key.removeprefix(f"{self.prefix}/") if self.prefix else key for key in keys)

    @override
    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="ratchet-") as folder:
            path = Path(folder) / key.rpartition("/")[2]
            self.download(key, path)
            yield path


@contextmanager
def _s3_errors(uri: str, key: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            raise MissingInput(f"{key} is not in the store {uri}.") from error
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise _unreachable(uri, key, error) from error
        raise ServiceUnavailable(f"S3 refused {uri}/{key}: {error}. Check the bucket's name and the role.") from error
    except (BotoCoreError, Boto3Error, RetriesExceededError, S3DownloadFailedError) as error:
        raise _unreachable(uri, key, error) from error


def _unreachable(uri: str, key: str, error: Exception) -> ServiceUnavailable:
    message = str(error).rstrip(".")
    return ServiceUnavailable(
        f"S3 did not answer for {uri}/{key}: {message}. Check AWS_ENDPOINT_URL, region, AWS Health."
    )


def open_storage(uri: str) -> Storage:
    """The store at a URI: `s3://bucket/prefix`, or a folder. Raises ConfigurationError for other schemes."""
    scheme = urlsplit(uri).scheme
    if scheme == "s3":
        return BucketStorage(uri)
    if scheme in {"", "file"}:
        return FolderStorage(Path(uri.removeprefix("file://")))
    raise ConfigurationError(f"The store {uri!r} is neither a folder nor s3://bucket/prefix.")


@contextmanager
def verified(storage: Storage, key: str, sha256: str) -> Iterator[Path]:
    """The bytes of `key` as a file, after their digest was checked. Raises IntegrityError if it is another."""
    with storage.local(key) as path:
        found = sha256_of(path)
        if found != sha256:
            raise IntegrityError(
                f"{key} in {storage.uri} has SHA-256 {found[:12]}…, but its manifest has {sha256[:12]}…. "
                "It was altered after it was written: delete its manifest and run the job again."
            )
        yield path
