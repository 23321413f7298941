"""A sink of JSON-lines files in a folder or a bucket, partitioned by the date (UTC) of their rows.

A file is written once. Rows are not compared: of two rows with one identity, readers use the one with the earlier time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ratchet.errors import ServiceUnavailable
from ratchet.jobs import keys
from ratchet.jobs.storage import Storage
from ratchet.prediction_log.records import FeedbackRecord, LogRecord, PredictionRecord
from ratchet.prediction_log.sinks.base import WriteResult


class FileSink:
    """A sink in a folder or a bucket. Each write makes a file, so a few rows at a time do not go here directly."""

    immediate = False

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def check(self) -> None:
        """Return if the storage responds. Raises ServiceUnavailable."""
        with self._storage_errors():
            self.storage.exists(keys.logged("predictions", "any", "probe"))

    def write(self, name: str, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]) -> WriteResult:
        """Write one file for each date of the rows. Raises ServiceUnavailable."""
        records: dict[str, Sequence[LogRecord]] = {"predictions": predictions, "feedback": feedback}
        with self._storage_errors():
            for kind, rows in records.items():
                for date, lines in _lines_by_date(rows).items():
                    self.storage.write(keys.logged(kind, date, name), "".join(lines).encode())
        return WriteResult(len(predictions), 0, 0, ["accepted"] * len(feedback))

    def close(self) -> None:
        """Does nothing: the sink has no connection."""

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Raise errors of the storage as ServiceUnavailable."""
        try:
            yield
        except OSError as error:
            raise ServiceUnavailable(
                f"The prediction log in {self.storage.uri} accepts no file: {error}. Check that it exists and is "
                "writable."
            ) from error


def _lines_by_date(rows: Sequence[LogRecord]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for row in rows:
        found[row.at.date().isoformat()].append(f"{json.dumps(row.to_fields())}\n")
    return found
