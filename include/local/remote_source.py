"""Sources outside this machine, downloaded before the AWS emulator starts, because jobs see only the emulator's S3."""

from __future__ import annotations

import shutil
from pathlib import Path

from ratchet.jobs import formats, keys
from ratchet.sources import resolve


def download_if_remote(source: str, cache: Path, folder: Path) -> str:
    """Return `source`, or, for S3 and Kaggle, `folder` after downloading the files into it.

    The credentials are those of this process. Downloads stay in `cache`, so that the next run reuses them. Raises the
    errors of `resolve.fetch_source`.
    """
    if not source.startswith(("s3://", "kaggle:")):
        return source
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True)
    for role, path in resolve.fetch_source(source, keys.SEED, cache, unpacked).files.items():
        shutil.copyfile(path, folder / f"{role}{formats.suffix_of(path.name)}")
    shutil.rmtree(unpacked)
    return str(folder)
