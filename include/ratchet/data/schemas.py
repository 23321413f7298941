"""The Arrow schemas of stored reviews; no other module names a column's type."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

REVIEW = pa.schema(
    [
        pa.field("review_id", pa.string(), nullable=False),  # 32 hex digits: `review_id` of title and text
        pa.field("label", pa.int8(), nullable=False),  # 0 negative, 1 positive
        pa.field("title", pa.string(), nullable=False),  # may be empty
        pa.field("text", pa.string(), nullable=False),
    ]
)

BATCH = REVIEW.append(pa.field("part", pa.string(), nullable=False))  # train, validation, or test

QUARANTINE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),  # of the record's first line, from 1
        pa.field("reason", pa.string(), nullable=False),
        pa.field("sample", pa.string(), nullable=False),  # the record's first 200 characters, undecodable bytes as \xNN
    ]
)


def create(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of a new file. Only this function sets the compression, because it is part of the file's bytes."""
    return pq.ParquetWriter(path, schema, compression="zstd")


def review_id(title: str, text: str) -> str:
    """The identity of a review: the 16-byte BLAKE2b digest of its words, as 32 hex digits.

    The same title and text are the same review, from any source.
    """
    return hashlib.blake2b(f"{title}\x1f{text}".encode(), digest_size=16).hexdigest()
