"""A fetched release is complete: with concurrent processes, after a kill, and with a corrupt bucket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dag_bundle import layout
from dag_bundle.errors import CorruptRelease, NoRelease
from dag_bundle.fetch import UNFINISHED, current_release, fetch, is_intact, switch_current
from dag_bundle.object_store import FolderStore, ObjectStore
from dag_bundle.release import release

PACKAGE = str(Path(layout.__file__).parents[1])


def dag_bundle(*arguments: str) -> subprocess.Popen[str]:
    """`python -m dag_bundle` as a process."""
    command = [sys.executable, "-m", "dag_bundle", *arguments]
    return subprocess.Popen(command, cwd=PACKAGE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def unfinished(cache: Path) -> list[Path]:
    return list(cache.glob(f"{UNFINISHED}*"))


@pytest.mark.parametrize("path", ["dags/weekly.py", "delivered/diary.py", layout.MANIFEST])
def test_a_corrupt_object_is_refused(
    store: ObjectStore, make_project: Callable[..., Path], tmp_path: Path, path: str
) -> None:
    """The error names the object and the remedy, which works; until then the release has no folder."""
    project = make_project("A")
    sha = release(project, store, "A").sha
    store.put(layout.key(sha, path), b"altered")
    with pytest.raises(CorruptRelease, match=rf"{path} .*not what was released.*make deploy-dags"):
        fetch(store, tmp_path / "cache", sha)
    assert not (tmp_path / "cache" / sha).exists()
    release(project, store, "A")
    assert is_intact(fetch(store, tmp_path / "cache", sha))
    assert unfinished(tmp_path / "cache") == []


def test_a_missing_object_is_refused(folder: FolderStore, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """The error is that of a corrupt object."""
    sha = release(make_project("A"), folder, "A").sha
    (folder.root / layout.key(sha, "dags/weekly.py")).unlink()
    with pytest.raises(CorruptRelease, match=r"dags/weekly.py is not in .*make deploy-dags"):
        fetch(folder, tmp_path / "cache", sha)


def test_a_fetched_release_does_not_need_the_store(
    folder: FolderStore, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """A task of a running DAG run can start while the bucket is down."""
    sha = release(make_project("A"), folder, "A").sha
    fetched = fetch(folder, tmp_path / "cache", sha)
    assert fetch(FolderStore(tmp_path / "nowhere"), tmp_path / "cache", sha) == fetched


@pytest.mark.parametrize("alter", [Path.unlink, lambda path: path.write_text("altered")])
def test_an_altered_folder_is_fetched_again(
    folder: FolderStore, make_project: Callable[..., Path], tmp_path: Path, alter: Callable[[Path], object]
) -> None:
    """Airflow runs only files that were released."""
    sha = release(make_project("A"), folder, "A").sha
    fetched = fetch(folder, tmp_path / "cache", sha)
    alter(fetched / "dags/weekly.py")
    assert not is_intact(fetched)
    assert is_intact(fetch(folder, tmp_path / "cache", sha))


@pytest.mark.parametrize("sha", ["0" * 64, "../../etc", ""])
def test_a_release_that_is_not_there_is_an_error(folder: FolderStore, tmp_path: Path, sha: str) -> None:
    """A name that no release can have raises the same error."""
    with pytest.raises(NoRelease):
        fetch(folder, tmp_path / "cache", sha)


def test_a_killed_fetch_leaves_a_complete_release_or_none(
    folder: FolderStore,
    make_project: Callable[..., Path],
    tmp_path: Path,
    kill_at_each_point: Callable[..., Iterator[int]],
) -> None:
    """After kill -9 at every file system call, the link points at a complete release; the next fetch cleans up."""
    cache = tmp_path / "cache"
    old, new = (release(make_project(name), folder, name).sha for name in "AB")
    fetch(folder, cache, old)
    switch_current(cache, old)

    def update() -> None:
        switch_current(fetch(folder, cache, new).parent, new)

    points = 0
    for points in kill_at_each_point(update):  # noqa: B007 - the number of points is checked below
        assert is_intact((cache / "current").resolve())
        assert not (cache / new).exists() or is_intact(cache / new)
        if (cache / new).exists() and (cache / "current").resolve().name == old:
            (cache / new).rename(cache / f"{UNFINISHED}kept")  # so that the next fetch starts from the beginning, too
    assert points > 10
    assert (cache / "current").resolve().name == new
    assert unfinished(cache) == []


def test_many_processes_fetch_at_once(bucket: ObjectStore, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """Each of them succeeds, and they leave one folder."""
    sha = release(make_project("A"), bucket, "A").sha
    into = tmp_path / "into"
    running = [dag_bundle("fetch", "--from", bucket.uri, "--into", str(into)) for _ in range(6)]
    results = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert [code for _, code in results] == [0] * 6, results
    assert sorted(path.name for path in into.iterdir()) == sorted([".lock", "current", sha])
    assert is_intact((into / "current").resolve())


def test_a_container_waits_for_the_first_release(
    folder: FolderStore, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """It starts before the first deployment and continues as soon as there is a release."""
    waiting = dag_bundle("fetch", "--from", folder.uri, "--into", str(tmp_path / "into"), "--wait", "60")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    released = dag_bundle("release", "--to", folder.uri, "--project", str(make_project("A")))
    assert "is now current" in released.communicate(timeout=60)[0]
    assert f"Release {current_release(folder):.12}" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0


def test_without_a_release_the_message_names_the_command_that_makes_one(folder: FolderStore, tmp_path: Path) -> None:
    """The output is one line without a traceback."""
    process = dag_bundle("fetch", "--from", folder.uri, "--into", str(tmp_path / "into"))
    _, error = process.communicate(timeout=60)
    assert error == f"dag_bundle: There is no release in {folder.uri} yet: run `make deploy-dags`.\n"
    assert process.returncode == 1
