"""A store of earlier code: it names the remedy, is migrated once, and then works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.jobs import Bench
from ratchet.cli import connections
from ratchet.errors import ConfigurationError
from ratchet.jobs import keys, manifests
from ratchet.jobs.storage import FolderStorage
from ratchet.promotion.registry import OLD_PREFIX, PREFIX, Registry
from ratchet.settings import Settings
from ratchet.windows import Window


@pytest.fixture
def old(tmp_path: Path) -> Bench:
    """A store with one promoted week, in which manifests and MLflow have the names of earlier code."""
    bench = Bench(tmp_path / "store")
    bench.prepare("synthetic:rows=2000&test_rows=400&weeks=2", 2)
    bench.week("0-0")
    for path in bench.store.rglob(keys.MANIFEST):
        fields = json.loads(path.read_text())
        path.write_text(json.dumps({"room" if name == "prefix" else name: each for name, each in fields.items()}))
    mlflow = registry(bench)
    for run in mlflow.client.search_runs([mlflow.experiment]):
        mlflow.client.set_tag(run.info.run_id, OLD_PREFIX, run.data.tags[PREFIX])
        mlflow.client.delete_tag(run.info.run_id, PREFIX)
    for version in mlflow.client.search_model_versions(f"name = '{mlflow.name}'"):
        mlflow.client.set_model_version_tag(mlflow.name, version.version, OLD_PREFIX, version.tags[PREFIX])
        mlflow.client.delete_model_version_tag(mlflow.name, version.version, PREFIX)
    return bench


def registry(bench: Bench) -> Registry:
    return connections.registry(Settings(store=str(bench.store)))


def test_an_old_store_is_migrated_once_and_then_goes_on(old: Bench) -> None:
    """Before, a job names the command; after, results stand, the next week trains, and nothing is left to rename."""
    storage = FolderStorage(old.store)
    with pytest.raises(ConfigurationError, match="Run `ratchet migrate` once"):
        manifests.find(storage, keys.split(keys.SEED))
    before = {path: path.read_bytes() for path in old.store.rglob("*.parquet")}
    first, second = old.ratchet("migrate"), old.ratchet("migrate")
    assert "manifests: 9 rewritten" in first
    assert "MLflow: 2 runs and versions" in first
    assert "manifests: 0 rewritten" in second
    assert "MLflow: 0 runs and versions" in second
    assert {path: path.read_bytes() for path in old.store.rglob("*.parquet")} == before
    trained = old.manifest(keys.model(Window(0), "linear-svc"))
    old.ratchet("train", "--window", "0-0", "--candidate", "linear-svc")
    assert old.manifest(keys.model(Window(0), "linear-svc")) == trained
    assert old.week("0-1").window == "0-1"
    (run,) = registry(old)._runs(f"tags.`{PREFIX}` = 'models/0-0/linear-svc'")
    assert OLD_PREFIX not in run.data.tags


def test_a_manifest_that_is_none_is_left_alone(tmp_path: Path) -> None:
    """Only JSON objects with the old field are rewritten."""
    storage = FolderStorage(tmp_path)
    storage.write("raw/seed/manifest.json", b"not json")
    storage.write("raw/batch_10/manifest.json", b"[1]")
    assert manifests.migrate(storage) == 0
    assert storage.read("raw/seed/manifest.json") == b"not json"
