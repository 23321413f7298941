"""Where the files of a source lie: a folder, or a part of a bucket. Names are relative to it, with `/`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ratchet.jobs.storage import BucketStorage
from ratchet.sources import s3


class Place(Protocol):
    """What a place can do."""

    def names(self) -> list[str]: ...
    def exists(self, name: str) -> bool: ...

    def fetch(self, name: str) -> Path:
        """The file on this machine, for reading only."""
        ...

    def forget(self) -> None:
        """Remove what was downloaded, because it was found to be bad. A user's own files stay."""
        ...


class Folder:
    """A folder of this machine: the user's, or with `downloaded` one of the cache."""

    def __init__(self, root: Path, *, downloaded: bool = False) -> None:
        self.root, self.downloaded = root, downloaded
        self._fetched: list[Path] = []

    def names(self) -> list[str]:
        found = [*self.root.glob("*"), *self.root.glob("*/*")]
        return [path.relative_to(self.root).as_posix() for path in found if path.is_file()]

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def fetch(self, name: str) -> Path:
        self._fetched.append(self.root / name)
        return self._fetched[-1]

    def forget(self) -> None:
        for path in self._fetched if self.downloaded else []:
            path.unlink(missing_ok=True)


class Bucket:
    """The objects of a bucket under a prefix (empty, or ending in `/`), downloaded into `cache` when asked for."""

    def __init__(self, bucket: str, prefix: str, cache: Path) -> None:
        self.storage, self.prefix, self.cache = BucketStorage(f"s3://{bucket}"), prefix, cache
        self._fetched: list[Path] = []

    def names(self) -> list[str]:
        return [key.removeprefix(self.prefix) for key in self.storage.list(self.prefix)]

    def exists(self, name: str) -> bool:
        return self.storage.exists(self.prefix + name)

    def fetch(self, name: str) -> Path:
        path = s3.fetch(self.storage.client, self.storage.bucket, self.prefix + name, self.cache)
        self._fetched.append(path)
        return path

    def forget(self) -> None:
        for path in self._fetched:
            path.unlink(missing_ok=True)
