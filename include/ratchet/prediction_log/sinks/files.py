"""The prediction log as files in a store, JSON lines, partitioned by the date (UTC) of their rows.

A file is never written to again. Rows are as they came: of two with one identity, the one with the earlier time counts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from ratchet.errors import ServiceUnavailable
from ratchet.jobs import keys
from ratchet.jobs.storage import Storage
from ratchet.prediction_log.feedback import Feedback
from ratchet.prediction_log.predictions import Prediction
from ratchet.prediction_log.sinks.base import Written


class Files:
    """A sink in a folder or a bucket. It is no place for a few rows at a time: each write makes a file."""

    immediate = False

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def check(self) -> None:
        with self._answering():
            self.storage.exists(keys.logged("predictions", "any", "probe"))

    def write(self, name: str, predictions: list[Prediction], feedback: list[Feedback]) -> Written:
        with self._answering():
            for kind, rows in (("predictions", predictions), ("feedback", feedback)):
                for date, lines in _by_date(rows).items():
                    self.storage.write(keys.logged(kind, date, name), "".join(lines).encode())
        return Written(len(predictions), 0, 0, ["accepted"] * len(feedback))

    def close(self) -> None:
        """Nothing is held."""

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ServiceUnavailable(f"The prediction log in {self.storage.uri} takes no file: {error}.") from error


def _by_date(rows: list[Prediction] | list[Feedback]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for row in rows:
        found[row.at.date().isoformat()].append(f"{json.dumps(row.fields())}\n")
    return found
