"""Batch scoring: reads a file of reviews and writes a Parquet file of predictions, in bounded memory."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from ratchet.data.parquet import chunks
from ratchet.errors import InputError
from ratchet.model.artifact import Model

log = structlog.get_logger()

ROWS = 10_000  # scored at a time
LAYOUTS = {1: ["text"], 2: ["title", "text"], 3: ["class", "title", "text"]}
UNREADABLE = (
    pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowInvalid,
    UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error,
)  # fmt: skip
PREDICTION = pa.schema([("row", pa.int64()), ("label", pa.int8()), ("probability", pa.float64())])


def predict(model: Model, source: Path, output: Path) -> int:
    """Write row number, label and probability of label 1 (schema PREDICTION) for every review of `source`, in order.

    Returns the number of rows. Raises InputError for a file that cannot be read as reviews; then no output is left.
    """
    aside = output.with_name(f".{output.name}.aside")
    rows, logged = 0, time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetWriter(aside, PREDICTION) as writer:
            for frame in reviews(source):
                probability = model.read(frame["title"].tolist(), frame["text"].tolist())
                numbers = np.arange(rows, rows + len(frame))
                label = (probability >= 0.5).astype(np.int8)
                columns = [numbers, label, probability.astype(np.float64)]
                writer.write_table(pa.table(columns, schema=PREDICTION))
                rows += len(frame)
                if time.monotonic() - logged >= 5:
                    logged = time.monotonic()
                    log.info("predicting", rows=rows)
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    return rows


def reviews(source: Path) -> Iterator[pd.DataFrame]:
    """Frames with `title` and `text`, at most 10,000 rows each; missing values are empty. Raises InputError."""
    if not source.is_file():
        raise InputError(f"{source} is not a file. Give --input a .csv, .csv.gz or .parquet of reviews.")
    try:
        for frame in _frames(source):
            if "text" not in frame:
                raise InputError(f"{source} has no column `text`, only {', '.join(map(str, frame.columns))}.")
            titles = frame["title"] if "title" in frame else pd.Series("", index=frame.index)
            yield pd.DataFrame({"title": titles.fillna("").astype(str), "text": frame["text"].fillna("").astype(str)})
    except UNREADABLE as error:
        raise InputError(f"{source} cannot be read as reviews: {error}.") from error


def _frames(source: Path) -> Iterator[pd.DataFrame]:
    if source.suffix == ".parquet":
        for group in chunks(source, ROWS):
            yield group.to_pandas()
        return
    names = _columns(source)
    header = 0 if names is None else None
    yield from pd.read_csv(source, names=names, header=header, dtype=str, keep_default_na=False, chunksize=ROWS)


def _columns(source: Path) -> list[str] | None:
    """Column names for a file without a header (Kaggle's layout has none), or None where the first row is a header."""
    first = pd.read_csv(source, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
    if "text" in first:
        return None
    if len(first) not in LAYOUTS:
        raise InputError(f"{source} has {len(first)} columns and no header. Name them: `title` and `text`.")
    return LAYOUTS[len(first)]
