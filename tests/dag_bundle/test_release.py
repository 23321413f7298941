"""A release is complete or invisible, and the same files are the same release."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.utils.file import list_py_file_paths

from dag_bundle import layout
from dag_bundle.errors import InvalidProject, StoreUnavailable
from dag_bundle.fetch import current_release, fetch, is_intact
from dag_bundle.object_store import FolderStore, ObjectStore
from dag_bundle.release import collect, release


class FailingStore:
    """A store that refuses every `put` after the first `successes`."""

    def __init__(self, store: ObjectStore, successes: int) -> None:
        self.store, self.successes, self.uri = store, successes, store.uri

    def get(self, key: str) -> bytes:
        return self.store.get(key)

    def put(self, key: str, data: bytes) -> None:
        if not self.successes:
            raise StoreUnavailable("The network is down.")
        self.successes -= 1
        self.store.put(key, data)


def test_what_is_released_is_fetched(store: ObjectStore, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """Every file is unchanged; the packages of include/ are at the top, which Airflow appends to sys.path."""
    project = make_project("A")
    made = release(project, store, "c0ffee")
    assert (made.files, made.uploaded, made.pointer_moved) == (5, 5, True)
    fetched = fetch(store, tmp_path / "cache", current_release(store))
    for name, top in (("dags", fetched / "dags"), ("plugins", fetched / "plugins"), ("include", fetched)):
        for file in (file for file in (project / name).rglob("*") if file.is_file()):
            assert (top / file.relative_to(project / name)).read_bytes() == file.read_bytes()
    assert is_intact(fetched)


def test_releasing_the_same_files_again_does_nothing(store: ObjectStore, make_project: Callable[..., Path]) -> None:
    """Nothing is uploaded, and the release has the same name."""
    project = make_project("A")
    first = release(project, store, "c0ffee")
    again = release(project, store, "c0ffee")
    assert (again.sha, again.uploaded, again.pointer_moved) == (first.sha, 0, False)


def test_releasing_old_files_again_goes_back(folder: FolderStore, make_project: Callable[..., Path]) -> None:
    """Only the pointer changes: old releases are kept, because DAG runs may use them."""
    old, new = (release(make_project(name), folder, name).sha for name in "AB")
    assert current_release(folder) == new
    assert release(make_project("A"), folder, "A").uploaded == 0
    assert current_release(folder) == old


def test_an_interrupted_release_is_invisible(
    store: ObjectStore, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """If any `put` fails, the old release is still current and can be fetched."""
    old = release(make_project("A"), store, "A").sha
    for broken in itertools.count():
        try:
            new = release(make_project(f"B{broken}"), FailingStore(store, successes=broken), "B")
        except StoreUnavailable:
            assert current_release(store) == old
            assert is_intact(fetch(store, tmp_path / f"cache-{broken}", old))
        else:
            break
    assert broken == new.files + 2  # and the manifest, and the pointer
    assert current_release(store) == new.sha


def test_a_killed_release_is_invisible(
    folder: FolderStore,
    make_project: Callable[..., Path],
    tmp_path: Path,
    kill_at_each_point: Callable[..., Iterator[int]],
) -> None:
    """After kill -9 at every file system call, the current release can be fetched: the old one or the new one."""
    old = release(make_project("A"), folder, "A").sha
    project = make_project("B")
    seen = {}
    for point in kill_at_each_point(lambda: release(project, folder, "B")):
        sha = current_release(folder)
        seen[sha] = point
        assert is_intact(fetch(folder, tmp_path / "cache", sha))
    assert next(iter(seen)) == old
    assert seen[old] > 10
    assert current_release(folder) != old


@pytest.mark.parametrize(
    "path",
    [
        "dags/__pycache__/weekly.cpython-312.pyc",
        "include/.env",
        "include/.cache/file.py",
        "include/ratchet.egg-info/PKG-INFO",
        "include/dag_bundle/bundle.py",
        "include/local/processes/services.py",
    ],
)
def test_files_that_airflow_must_not_run_are_excluded(make_project: Callable[..., Path], path: str) -> None:
    """Hidden and generated files, the package in Airflow's image and the package for development machines."""
    project = make_project("A")
    before = collect(project)
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("")
    assert collect(project) == before


def test_airflow_searches_only_the_folder_dags(
    folder: FolderStore, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """A module of a package is not taken for a DAG file, even if its text contains dags and airflow."""
    fetched = fetch(folder, tmp_path / "cache", release(make_project("A"), folder, "A").sha)
    assert list_py_file_paths(fetched) == [str(fetched / "dags/weekly.py")]


def test_a_project_without_plugins_is_released(make_project: Callable[..., Path]) -> None:
    """The folder plugins/ is optional."""
    project = make_project("A")
    (project / "plugins/page.py").unlink()
    (project / "plugins").rmdir()
    assert "plugins/page.py" not in collect(project)


def test_a_folder_without_dags_is_refused(tmp_path: Path) -> None:
    """The command most likely ran in the wrong folder."""
    with pytest.raises(InvalidProject, match="Name the project with --project"):
        collect(tmp_path)


@pytest.mark.parametrize("name", ["dags", "plugins"])
def test_a_package_named_like_a_reserved_folder_is_refused(make_project: Callable[..., Path], name: str) -> None:
    """`include/dags` would be read as DAG files."""
    project = make_project("A")
    (project / "include" / name).mkdir()
    (project / "include" / name / "__init__.py").write_text("")
    with pytest.raises(InvalidProject, match="rename it"):
        collect(project)


def test_the_name_of_a_release_is_the_digest_of_its_manifest() -> None:
    """The name depends on the paths and bytes of the files alone."""
    name = layout.sha256(layout.build_manifest({"b": b"2", "a": b"1"}))
    assert name == layout.sha256(layout.build_manifest({"a": b"1", "b": b"2"}))
    assert name != layout.sha256(layout.build_manifest({"a": b"1", "b": b"3"}))
