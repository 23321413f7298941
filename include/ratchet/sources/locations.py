"""Locations of source files: a folder, or a prefix of a bucket. File names are relative to it, with `/`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ratchet.jobs.storage import BucketStorage
from ratchet.sources import s3


class Location(Protocol):
    """A folder or a prefix of a bucket with the files of a source."""

    def names(self) -> list[str]:
        """The names of its files."""
        ...

    def exists(self, name: str) -> bool:
        """Whether it has a file of this name."""
        ...

    def fetch(self, name: str) -> Path:
        """The file on this machine, for reading only; downloaded if necessary."""
        ...

    def remove_downloads(self) -> None:
        """Delete the downloaded files, because they are bad. A user's own files stay."""
        ...


class FolderLocation:
    """A folder of this machine: the user's, or with `downloaded` one of the cache."""

    def __init__(self, root: Path, *, downloaded: bool = False) -> None:
        self.root, self.downloaded = root, downloaded
        self._fetched: list[Path] = []

    def names(self) -> list[str]:
        """The files at the top and one folder down."""
        found = [*self.root.glob("*"), *self.root.glob("*/*")]
        return [path.relative_to(self.root).as_posix() for path in found if path.is_file()]

    def exists(self, name: str) -> bool:
        """Whether the folder has a file of this name."""
        return (self.root / name).is_file()

    def fetch(self, name: str) -> Path:
        """The file itself."""
        self._fetched.append(self.root / name)
        return self._fetched[-1]

    def remove_downloads(self) -> None:
        """Delete the files that were fetched, if the folder is one of the cache."""
        for path in self._fetched if self.downloaded else []:
            path.unlink(missing_ok=True)


class BucketLocation:
    """The objects of a bucket under a prefix (empty, or ending in `/`), downloaded into `cache` when fetched."""

    def __init__(self, bucket: str, prefix: str, cache: Path) -> None:
        self.storage, self.prefix, self.cache = BucketStorage(f"s3://{bucket}"), prefix, cache
        self._fetched: list[Path] = []

    def names(self) -> list[str]:
        """The keys under the prefix."""
        return [key.removeprefix(self.prefix) for key in self.storage.list(self.prefix)]

    def exists(self, name: str) -> bool:
        """Whether the bucket has this key. Raises ServiceUnavailable if S3 refuses."""
        return self.storage.exists(self.prefix + name)

    def fetch(self, name: str) -> Path:
        """The object as a file in the cache. Raises ServiceUnavailable as `s3.fetch`."""
        path = s3.fetch(self.storage.client, self.storage.bucket, self.prefix + name, self.cache)
        self._fetched.append(path)
        return path

    def remove_downloads(self) -> None:
        """Delete the downloaded objects from the cache."""
        for path in self._fetched:
            path.unlink(missing_ok=True)
