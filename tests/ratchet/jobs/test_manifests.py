"""The manifests of a store that other programs use as well."""

from __future__ import annotations

from pathlib import Path

from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage
from ratchet.windows import Window

PREFIXES = [
    keys.raw("seed"),
    keys.processed("seed"),
    keys.split("seed"),
    keys.features("words", "batch_00"),
    keys.model(Window(1), "linear-svc"),
    keys.score("batch_01"),
    keys.evaluation(Window(1)),
    keys.decision(Window(1)),
    keys.report("profile", "batch_00"),
]
"""One prefix of each kind."""


def test_the_manifests_of_jobs_are_found_among_other_files(tmp_path: Path) -> None:
    """A release of DAGs and MLflow have files of the same name; they are neither listed nor migrated."""
    storage = FolderStorage(tmp_path)
    for prefix in PREFIXES:
        storage.write(keys.manifest(prefix), Manifest(job="any", prefix=prefix).model_dump_json().encode())
    others = ["dags/releases/3f/manifest.json", "mlflow/1/models/m-1/artifacts/manifest.json", "manifest.json"]
    for key in others:
        storage.write(key, b'{"room": "of another program"}')
    assert manifests.prefixes(storage) == sorted(PREFIXES)
    assert manifests.migrate(storage) == 0
    assert all(manifests.find(storage, prefix) for prefix in PREFIXES)
