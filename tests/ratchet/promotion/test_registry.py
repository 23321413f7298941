"""The registry against a real MLflow, where only a race shows what a single caller never sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest

from ratchet.promotion.registry import Registry, _dataset
from ratchet.settings import Settings

ROUNDS, SIDE_BY_SIDE = 10, 3  # without the retry, every other round loses a training


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("RATCHET_TRACKING", f"sqlite:///{tmp_path}/mlflow.db")
    yield Registry(Settings())
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it


def test_trainings_side_by_side_name_the_same_batches(registry: Registry) -> None:
    """The candidates of a week learn from the same batches at the same moment; each run names them, and none fails."""
    for round_ in range(ROUNDS):
        names = [f"batch-{round_}-{number}" for number in range(4)]
        runs = [registry.client.create_run(registry.experiment).info.run_id for _ in range(SIDE_BY_SIDE)]
        together = threading.Barrier(SIDE_BY_SIDE)

        def log(run: str, together: threading.Barrier = together, names: list[str] = names) -> None:
            together.wait()
            registry._log_inputs(run, [_dataset(name, "0" * 64) for name in names])

        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            list(threads.map(log, runs))  # raises what one of them raised
        for run in runs:
            inputs = registry.client.get_run(run).inputs
            assert inputs is not None
            assert sorted(given.dataset.name for given in inputs.dataset_inputs) == names
