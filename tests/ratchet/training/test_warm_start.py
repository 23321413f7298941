"""A training starts where the last one ended, which is an input like any other and changes the cost, not the result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.jobs import Bench
from harness.substitute import substitute
from ratchet.candidates import CANDIDATES, FEATURIZER, GAP
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage
from ratchet.jobs.train import Train as TrainJob
from ratchet.settings import Settings
from ratchet.training.fit import train
from ratchet.training.warm_start import DUALS, load
from ratchet.windows import Window

SOURCE = "synthetic:rows=1500&weeks=3&test_rows=300&drift_week=none&seed=1"

Train = Callable[..., Manifest]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A store with the features of three batches, and nothing trained."""
    bench = Bench(tmp_path_factory.mktemp("prepared"))
    bench.prepare(SOURCE, batches=3)
    return bench


@pytest.fixture
def storage(prepared: Bench, tmp_path: Path) -> FolderStorage:
    shutil.copytree(prepared.store, tmp_path / "store")
    return FolderStorage(tmp_path / "store")


@pytest.fixture
def trained(storage: FolderStorage) -> Train:
    """The train job of a window, without MLflow."""

    def run(end: int, candidate: str = "nb-svm", force: bool = False) -> Manifest:
        job = TrainJob(window=Window(end), candidate=candidate)
        fitted = substitute(job, lambda context: train(context, Window(end), candidate))
        return fitted.execute(storage, Settings(), force=force)

    return run


def features_of(*batches: int) -> set[str]:
    return {keys.features(FEATURIZER, keys.batch_name(number)) for number in batches}


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_last_training_is_an_input(trained: Train, storage: FolderStorage, candidate: str) -> None:
    """Week 0 has features alone; week 1 names the training of week 0 with its digest, and keeps duals by batch."""
    first, second = trained(0, candidate), trained(1, candidate)
    assert set(first.inputs) == features_of(0)
    assert set(second.inputs) == {first.prefix, *features_of(0, 1)}
    assert second.inputs[first.prefix] == first.digest
    duals = load_file(storage.root / second.prefix / DUALS)
    kept = {name: sum(len(duals[f"{batch}.{name}"]) for batch in ("batch_00", "batch_01")) for name in second.rows}
    assert kept == second.rows
    assert len(duals["batch_01.held_out"]) == len(duals["batch_01.train"])
    assert second.metrics["duality_gap"] <= GAP


def test_the_same_inputs_give_the_same_bytes(trained: Train) -> None:
    """Forced again with the same last training, every output has the same digest."""
    trained(0)
    first = trained(1)
    assert trained(1, force=True).outputs == first.outputs
    assert trained(1).finished_at == trained(1).finished_at


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_cold_start_ends_at_the_same_optimum(trained: Train, storage: FolderStorage, candidate: str) -> None:
    """Without the last training, the objective is the same within the gap."""
    trained(0, candidate)
    warm = trained(1, candidate)
    shutil.rmtree(storage.root / keys.model(Window(0), candidate))
    cold = trained(1, candidate, force=True)
    assert set(cold.inputs) == features_of(0, 1)
    assert cold.metrics["objective"] == pytest.approx(warm.metrics["objective"], rel=GAP)
    assert cold.metrics["macro_f1"] == pytest.approx(warm.metrics["macro_f1"], abs=0.02)


def test_a_week_that_was_not_trained_is_skipped(trained: Train) -> None:
    """The start is the last earlier window on which this candidate was trained, not one of another candidate."""
    first = trained(0)
    trained(1, "linear-svc")
    assert set(trained(2).inputs) == {first.prefix, *features_of(0, 1, 2)}


def test_duals_of_reviews_that_changed_are_left_out(trained: Train, storage: FolderStorage, tmp_path: Path) -> None:
    """A batch whose features have changed since has no dual variables; the others have theirs."""
    prefix = trained(1).prefix
    path = storage.root / keys.manifest(prefix)
    manifest = json.loads(path.read_text())
    manifest["inputs"][keys.features(FEATURIZER, "batch_00")] = "0" * 64
    path.write_text(json.dumps(manifest))
    context = JobContext(storage, keys.model(Window(2), "nb-svm"), tmp_path)
    made = {
        name: context.read(keys.features(FEATURIZER, name), "nothing") for name in ("batch_00", "batch_01", "batch_02")
    }
    duals = load(context, Window(2), "nb-svm", made)
    assert duals is not None
    assert prefix in context.inputs
    for array, parts in ((duals.whole, ("train", "validation")), (duals.held_out, ("train",))):
        sizes = [made[name].rows[part] for part in parts for name in made]
        pieces = np.split(np.isnan(array), np.cumsum(sizes)[:-1])
        assert [piece.all() for piece in pieces] == [True, False, True] * len(parts)
        assert not any(piece.any() for piece in pieces[1::3])
