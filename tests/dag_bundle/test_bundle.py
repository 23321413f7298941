"""Airflow follows the current release, and each DAG run keeps the release it started with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dag_bundle import layout
from dag_bundle.bundle import RatchetDagBundle
from dag_bundle.errors import CorruptRelease, NoRelease, ShadowedPackage
from dag_bundle.object_store import FolderStore, ObjectStore
from dag_bundle.release import release
from harness.project import PROJECT

AIRFLOW_SIDE = Path(__file__).with_name("airflow_side.py")
INCLUDE = Path(layout.__file__).parents[1]
AS_IN_THE_IMAGE = """
import os, runpy, sys
sys.path[:] = [path for path in sys.path if not os.path.isdir(os.path.join(path, "orchestration"))]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a file with `dag_bundle` on the path, by a link, and no other package of any checkout of the project."""


@pytest.fixture
def bundle(folder: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RatchetDagBundle]:
    """Makes bundles over one store, as Airflow does."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    return lambda version=None: RatchetDagBundle(name="ratchet", releases=folder.uri, version=version)


def test_the_processor_follows_the_pointer_and_a_task_does_not(
    folder: FolderStore, make_project: Callable[..., Path], bundle: Callable[..., RatchetDagBundle]
) -> None:
    """A DAG file that the new release lacks is gone, except in a bundle that is pinned to the old release."""
    old = release(make_project("A", dags=("weekly", "retired")), folder, "A").sha
    unpinned = bundle()
    unpinned.initialize()
    assert (unpinned.get_current_version().version, unpinned.path.name) == (old, old)
    new = release(make_project("B"), folder, "B").sha
    assert unpinned.path.name == old
    unpinned.refresh()
    assert (unpinned.get_current_version().version, unpinned.path.name) == (new, new)
    assert not (unpinned.path / "dags/retired.py").exists()
    pinned = bundle(old)
    pinned.initialize()
    assert (pinned.get_current_version().version, pinned.path.name) == (old, old)
    assert (pinned.path / "dags/retired.py").exists()
    with pytest.raises(NoRelease, match="pinned"):
        pinned.refresh()


def test_a_corrupt_release_leaves_the_old_one_in_use(
    folder: FolderStore, make_project: Callable[..., Path], bundle: Callable[..., RatchetDagBundle]
) -> None:
    """The DAG processor logs the reason at each refresh and keeps the old release."""
    old = release(make_project("A"), folder, "A").sha
    unpinned = bundle()
    unpinned.initialize()
    new = release(make_project("B"), folder, "B").sha
    folder.put(layout.key(new, "dags/weekly.py"), b"altered")
    with pytest.raises(CorruptRelease):
        unpinned.refresh()
    assert (unpinned.get_current_version().version, unpinned.path.name) == (old, old)


def test_the_path_of_a_bundle_can_be_read_before_a_release_is_fetched(bundle: Callable[..., RatchetDagBundle]) -> None:
    """Airflow does so at its start, when there is no release; initialising the bundle then raises what to do."""
    assert bundle().path == bundle().versions_dir
    with pytest.raises(NoRelease, match="make deploy-dags"):
        bundle().initialize()


def test_another_copy_of_the_code_is_refused(
    folder: FolderStore, make_project: Callable[..., Path], bundle: Callable[..., RatchetDagBundle]
) -> None:
    """A package that this process would import from another folder, here the checkout, would mix two releases."""
    release(make_project("A", package="orchestration"), folder, "A")
    with pytest.raises(
        ShadowedPackage, match=r"orchestration would be imported from .*include.*Take it off PYTHONPATH"
    ):
        bundle().initialize()


def test_the_image_has_the_package_under_its_own_name() -> None:
    """The classpath of the bundle and `python -m dag_bundle` find it there."""
    dockerfile = (PROJECT / "containers/airflow/Dockerfile").read_text()
    copied = re.findall(r"COPY include/(\w+) \S+/site-packages/(\w+)", dockerfile)
    assert copied == [("dag_bundle", "dag_bundle")]


def test_airflow_keeps_each_run_in_its_release(
    bucket: ObjectStore, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """With a real DAG processor, the tasks and callbacks of a DAG run use the release that was current at its start."""
    projects = [
        make_project("A", dags=("weekly", "retired"), package="orchestration"),
        make_project("B", package="orchestration"),
    ]
    (tmp_path / "image").mkdir()
    (tmp_path / "image/dag_bundle").symlink_to(INCLUDE / "dag_bundle")
    bundles = [
        {
            "name": "ratchet",
            "classpath": "dag_bundle.bundle.RatchetDagBundle",
            "kwargs": {"releases": bucket.uri, "refresh_interval": 1},
        }
    ]
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(tmp_path / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "PYTHONPATH": str(tmp_path / "image"),
        "DIARY": str(tmp_path / "diary"),
    }
    command = [sys.executable, "-c", AS_IN_THE_IMAGE, str(AIRFLOW_SIDE), bucket.uri, *map(str, projects)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    early, late = found["early"], found["late"]
    assert found["pinned"] == {early: found["old"], late: found["new"]}
    assert sorted(found["diary"]) == sorted(
        [who, run, release, release] for who in ("task", "callback") for run, release in ((early, "A"), (late, "B"))
    )
