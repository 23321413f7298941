"""Sources outside this machine, fetched before the stand-ins come up: the S3 that jobs see is an empty emulator."""

from __future__ import annotations

import shutil
from pathlib import Path

from ratchet.jobs import keys
from ratchet.sources import formats, resolve


def at_hand(source: str, cache: Path, folder: Path) -> str:
    """`source` itself, or, for S3 and Kaggle, a folder with its files. Credentials are those of this process.

    What was downloaded stays in `cache`, so the next run starts from there. Raises as `resolve.fetch_source`.
    """
    if not source.startswith(("s3://", "kaggle:")):
        return source
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True)
    for role, path in resolve.fetch_source(source, keys.SEED, cache, unpacked).files.items():
        shutil.copyfile(path, folder / f"{role}{formats.suffix_of(path.name)}")
    shutil.rmtree(unpacked)
    return str(folder)
