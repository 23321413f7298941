"""Downloads objects of S3 into the cache. A broken download continues where it stopped, if the object is unchanged."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path
from typing import IO, Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

from ratchet.errors import ServiceUnavailable
from ratchet.jobs.storage import sha256_of

log = structlog.get_logger()

CHUNK = 1 << 20
TRIES = 5  # connections in a row without a byte, after which a download fails


def fetch(client: Any, bucket: str, key: str, cache: Path) -> Path:
    """The object as a file in the cache, named as the last part of the key. Only missing bytes are requested.

    The ETag is part of the path: a changed object starts over, and the old version's bytes are removed. The file's
    SHA-256 is stored beside it, and a file with another digest is downloaded again. Raises ServiceUnavailable if S3
    refuses, if the connection breaks `TRIES` times in a row without progress, or if the bytes have the wrong checksum.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        head = client.head_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError) as error:
        raise ServiceUnavailable(f"{uri} cannot be read: {error}. Check its name, the role and the region.") from error
    home = cache / "s3" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    version = home / hashlib.sha256(head["ETag"].encode()).hexdigest()[:16]
    for other in home.glob("*"):
        if other != version:
            shutil.rmtree(other)
    version.mkdir(parents=True, exist_ok=True)
    target = version / key.rpartition("/")[2]
    record = target.with_name(f"{target.name}.sha256")
    if target.exists():
        if record.exists() and record.read_text() == sha256_of(target):
            log.info("already downloaded", source=uri)
            return target
        log.warning("the cached file was altered, downloading again", source=uri)
        target.unlink()
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("ab") as file:
        _complete(client, {"Bucket": bucket, "Key": key, "IfMatch": head["ETag"]}, uri, file, head["ContentLength"])
    _check(partial, head, uri)
    record.write_text(sha256_of(partial))
    partial.replace(target)
    return target


def _check(partial: Path, head: dict[str, Any], uri: str) -> None:
    """Raises ServiceUnavailable if the file's MD5 is not the ETag.

    The ETag is no MD5 if it has a dash (uploaded in parts) or the object is encrypted with a KMS key.
    """
    etag = head["ETag"].strip('"')
    if "-" in etag or head.get("ServerSideEncryption", "AES256") != "AES256":
        return
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != etag:
        partial.unlink()
        raise ServiceUnavailable(f"{uri} arrived damaged: its MD5 is {found}, not {etag}. Run again: it starts over.")


def _complete(client: Any, request: dict[str, str], uri: str, file: IO[bytes], size: int) -> None:
    """Append the bytes that `file` lacks of the object's `size`."""
    tries = 0
    while (start := file.tell()) < size:
        log.info("downloading", source=uri, from_byte=start, bytes=size)
        rest = {"Range": f"bytes={start}-"} if start else {}  # boto3 verifies the checksum of a whole object only
        try:
            _append(client.get_object(**request, **rest)["Body"].iter_chunks(CHUNK), file, uri, size)
        except ClientError as error:
            raise ServiceUnavailable(
                f"{uri} can no longer be read: {error}. If it was replaced meanwhile, run again: it starts over."
            ) from error
        except BotoCoreError as error:
            if isinstance(error, FlexibleChecksumError):
                file.truncate(start)
                file.seek(start)
            tries = 0 if file.tell() > start else tries + 1
            if tries == TRIES:
                raise ServiceUnavailable(
                    f"The download of {uri} broke off at {file.tell()} of {size} bytes: {error}. "
                    "Run again: it continues from there."
                ) from error
            log.warning("download broke off, continuing", source=uri, at_byte=file.tell(), error=str(error))
            time.sleep(0.1 * 2**tries)


def _append(chunks: Any, file: IO[bytes], uri: str, size: int) -> None:
    logged = time.monotonic()
    for chunk in chunks:
        file.write(chunk)
        if time.monotonic() - logged >= 5:
            logged = time.monotonic()
            log.info("downloading", source=uri, mib=file.tell() >> 20, of_mib=size >> 20)
