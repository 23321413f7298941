"""The first job: a source's files enter the store, verified, under names that say what they are."""

from __future__ import annotations

from pathlib import Path

import structlog

from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import IngestDetails, SourceFile
from ratchet.jobs.storage import sha256_of
from ratchet.sources import formats, resolve

log = structlog.get_logger()


def ingest(context: JobContext, source: str, delivery: str, cache: Path) -> None:
    """Publish `train.…` and, for the seed, `test.…` if the source has one; compressed files stay compressed.

    `context.details` then holds `order` (`archive`: weeks are contiguous; `shuffled`), `files` (role → name and
    form, `csv` or `fasttext`) and `source_sha256` (the digest of each original file by its name). Raises as
    `resolve.bring`.
    """
    lot = resolve.bring(source, delivery, cache.expanduser(), context.folder)
    files = {}
    for role, path in lot.files.items():
        name = f"{role}{formats.suffix_of(path.name)}"
        context.publish(path, name)
        files[role] = SourceFile(name=name, form=formats.form_of(name))
        log.info("ingested", file=name, mib=path.stat().st_size >> 20)
    context.details = IngestDetails(
        order=lot.order,
        files=files,
        source_sha256={name: sha256_of(path) for name, path in lot.originals.items()},
    )
