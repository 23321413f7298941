"""The job `ingest`: verifies the files of a source and puts them into the store under the names of their roles."""

from __future__ import annotations

from pathlib import Path

import structlog

from ratchet.jobs import formats
from ratchet.jobs.base import JobContext
from ratchet.jobs.ingest import IngestDetails, SourceFile
from ratchet.jobs.storage import sha256_of
from ratchet.sources import resolve

log = structlog.get_logger()


def ingest(context: JobContext, source: str, delivery: str, cache: Path) -> None:
    """Publish the training file, and for the seed the test file if there is one; compressed files stay compressed.

    Sets `context.details`: `order` (`archive` if the weeks are contiguous, else `shuffled`), `files` (role → name and
    form, `csv` or `fasttext`) and `source_sha256` (the digest of each original file by its name). Raises what
    `resolve.fetch_source` raises.
    """
    fetched = resolve.fetch_source(source, delivery, cache.expanduser(), context.folder)
    files = {}
    for role, path in fetched.files.items():
        name = f"{role}{formats.suffix_of(path.name)}"
        context.publish(path, name)
        files[role] = SourceFile(name=name, form=formats.form_of(name))
        log.info("ingested", file=name, mib=path.stat().st_size >> 20)
    context.details = IngestDetails(
        order=fetched.order,
        files=files,
        source_sha256={name: sha256_of(path) for name, path in fetched.originals.items()},
    )
