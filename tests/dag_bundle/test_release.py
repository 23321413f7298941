"""A release is whole or invisible, and the same files are the same release."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.utils.file import list_py_file_paths

from dag_bundle import layout
from dag_bundle.errors import InvalidProject, PlaceUnavailable
from dag_bundle.fetch import current, fetch, is_whole
from dag_bundle.object_store import Folder, Place
from dag_bundle.release import collect, release


class FailingPlace:
    """A place whose network breaks down at one `put`."""

    def __init__(self, place: Place, good: int) -> None:
        self.place, self.good, self.uri = place, good, place.uri

    def get(self, key: str) -> bytes:
        return self.place.get(key)

    def put(self, key: str, data: bytes) -> None:
        if not self.good:
            raise PlaceUnavailable("The network is down.")
        self.good -= 1
        self.place.put(key, data)


def test_what_is_released_is_fetched(place: Place, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """Each file comes back as it was; what include/ holds lies at the top, where Airflow's own sys.path entry leads."""
    project = make_project("A")
    made = release(project, place, "c0ffee")
    assert (made.files, made.uploaded, made.moved) == (5, 5, True)
    got = fetch(place, tmp_path / "cache", current(place))
    for room, top in (("dags", got / "dags"), ("plugins", got / "plugins"), ("include", got)):
        for file in (file for file in (project / room).rglob("*") if file.is_file()):
            assert (top / file.relative_to(project / room)).read_bytes() == file.read_bytes()
    assert is_whole(got)


def test_releasing_the_same_files_again_does_nothing(place: Place, make_project: Callable[..., Path]) -> None:
    """Not a byte is sent, and the name stays."""
    project = make_project("A")
    first = release(project, place, "c0ffee")
    again = release(project, place, "c0ffee")
    assert (again.sha, again.uploaded, again.moved) == (first.sha, 0, False)


def test_releasing_old_files_again_goes_back(folder: Folder, make_project: Callable[..., Path]) -> None:
    """Only the pointer moves: old releases are kept, because DAG runs may be in them."""
    old, new = (release(make_project(name), folder, name).sha for name in "AB")
    assert current(folder) == new
    assert release(make_project("A"), folder, "A").uploaded == 0
    assert current(folder) == old


def test_an_interrupted_release_is_invisible(place: Place, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """Whichever `put` fails, the old release is current and can be fetched."""
    old = release(make_project("A"), place, "A").sha
    for broken in itertools.count():
        try:
            new = release(make_project(f"B{broken}"), FailingPlace(place, good=broken), "B")
        except PlaceUnavailable:
            assert current(place) == old
            assert is_whole(fetch(place, tmp_path / f"cache-{broken}", old))
        else:
            break
    assert broken == new.files + 2  # and the manifest, and the pointer
    assert current(place) == new.sha


def test_a_killed_release_is_invisible(
    folder: Folder,
    make_project: Callable[..., Path],
    tmp_path: Path,
    kill_at_each_point: Callable[..., Iterator[int]],
) -> None:
    """Kill -9 at every touch of the file system: what is current can be fetched, and is old or new as a whole."""
    old = release(make_project("A"), folder, "A").sha
    project = make_project("B")
    seen = {}
    for point in kill_at_each_point(lambda: release(project, folder, "B")):
        sha = current(folder)
        seen[sha] = point
        assert is_whole(fetch(folder, tmp_path / "cache", sha))
    assert next(iter(seen)) == old
    assert seen[old] > 10
    assert current(folder) != old


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
def test_what_nobody_should_run_is_left_out(make_project: Callable[..., Path], path: str) -> None:
    """Nothing hidden or made, nor the two packages that Airflow gets otherwise or not at all."""
    project = make_project("A")
    before = collect(project)
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("")
    assert collect(project) == before


def test_airflow_looks_for_dags_among_the_dags_only(
    folder: Folder, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """A package beside them is no DAG file, even where it names dags and airflow."""
    got = fetch(folder, tmp_path / "cache", release(make_project("A"), folder, "A").sha)
    assert list_py_file_paths(got) == [str(got / "dags/weekly.py")]


def test_a_project_without_plugins_is_released(make_project: Callable[..., Path]) -> None:
    """The folder is optional."""
    project = make_project("A")
    (project / "plugins/page.py").unlink()
    (project / "plugins").rmdir()
    assert "plugins/page.py" not in collect(project)


def test_a_folder_without_dags_is_refused(tmp_path: Path) -> None:
    """Most likely the command ran in the wrong folder."""
    with pytest.raises(InvalidProject, match="Name the project with --project"):
        collect(tmp_path)


@pytest.mark.parametrize("name", ["dags", "plugins"])
def test_a_package_in_the_place_of_a_room_is_refused(make_project: Callable[..., Path], name: str) -> None:
    """`include/dags` would be read as DAG files."""
    project = make_project("A")
    (project / "include" / name).mkdir()
    (project / "include" / name / "__init__.py").write_text("")
    with pytest.raises(InvalidProject, match="rename it"):
        collect(project)


def test_the_name_of_a_release_is_the_digest_of_its_manifest() -> None:
    """It depends on the files' paths and bytes, and on nothing else."""
    name = layout.sha256(layout.manifest({"b": b"2", "a": b"1"}))
    assert name == layout.sha256(layout.manifest({"a": b"1", "b": b"2"}))
    assert name != layout.sha256(layout.manifest({"a": b"1", "b": b"3"}))
