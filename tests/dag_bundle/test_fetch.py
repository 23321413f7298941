"""A fetched release is whole, however many fetch it, wherever they die, and whatever lies in the bucket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dag_bundle import layout
from dag_bundle.errors import CorruptRelease, NoRelease
from dag_bundle.fetch import ASIDE, current, fetch, is_whole, switch
from dag_bundle.object_store import Folder, Place
from dag_bundle.release import release

PACKAGE = str(Path(layout.__file__).parents[1])


def delivery(*arguments: str) -> subprocess.Popen[str]:
    """The command line, as a process."""
    command = [sys.executable, "-m", "delivery", *arguments]
    return subprocess.Popen(command, cwd=PACKAGE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left_aside(cache: Path) -> list[Path]:
    return list(cache.glob(f"{ASIDE}*"))


@pytest.mark.parametrize("path", ["dags/weekly.py", "delivered/diary.py", layout.MANIFEST])
def test_a_corrupt_object_is_refused(
    place: Place, make_project: Callable[..., Path], tmp_path: Path, path: str
) -> None:
    """The error names it and the remedy, which works; until then there is no such folder."""
    project = make_project("A")
    sha = release(project, place, "A").sha
    place.put(layout.key(sha, path), b"altered")
    with pytest.raises(CorruptRelease, match=rf"{path} .*not what was released.*make deploy-dags"):
        fetch(place, tmp_path / "cache", sha)
    assert not (tmp_path / "cache" / sha).exists()
    release(project, place, "A")
    assert is_whole(fetch(place, tmp_path / "cache", sha))
    assert left_aside(tmp_path / "cache") == []


def test_a_missing_object_is_refused(folder: Folder, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """As a corrupt one is."""
    sha = release(make_project("A"), folder, "A").sha
    (folder.root / layout.key(sha, "dags/weekly.py")).unlink()
    with pytest.raises(CorruptRelease, match=r"dags/weekly.py is not in .*make deploy-dags"):
        fetch(folder, tmp_path / "cache", sha)


def test_a_fetched_release_needs_its_place_no_more(
    folder: Folder, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """A task of a DAG run in flight starts while the bucket is down."""
    sha = release(make_project("A"), folder, "A").sha
    got = fetch(folder, tmp_path / "cache", sha)
    assert fetch(Folder(tmp_path / "nowhere"), tmp_path / "cache", sha) == got


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("altered")])
def test_an_altered_folder_is_fetched_again(
    folder: Folder, make_project: Callable[..., Path], tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """Nothing runs that was not released."""
    sha = release(make_project("A"), folder, "A").sha
    got = fetch(folder, tmp_path / "cache", sha)
    spoil(got / "dags/weekly.py")
    assert not is_whole(got)
    assert is_whole(fetch(folder, tmp_path / "cache", sha))


@pytest.mark.parametrize("sha", ["0" * 64, "../../etc", ""])
def test_a_release_that_is_not_there_is_an_error(folder: Folder, tmp_path: Path, sha: str) -> None:
    """So is a name that no release can have."""
    with pytest.raises(NoRelease):
        fetch(folder, tmp_path / "cache", sha)


def test_a_killed_fetch_leaves_a_whole_release_or_none(
    folder: Folder,
    make_project: Callable[..., Path],
    tmp_path: Path,
    kill_at_each_point: Callable[..., Iterator[int]],
) -> None:
    """Kill -9 at every touch of the file system: the link leads to a whole release, and the next one clears up."""
    cache = tmp_path / "cache"
    old, new = (release(make_project(name), folder, name).sha for name in "AB")
    fetch(folder, cache, old)
    switch(cache, old)

    def work() -> None:
        switch(fetch(folder, cache, new).parent, new)

    points = 0
    for points in kill_at_each_point(work):  # noqa: B007
        assert is_whole((cache / "current").resolve())
        assert not (cache / new).exists() or is_whole(cache / new)
        if (cache / new).exists() and (cache / "current").resolve().name == old:
            (cache / new).rename(cache / f"{ASIDE}kept")  # so that the next one has all the work to do, too
    assert points > 10
    assert (cache / "current").resolve().name == new
    assert left_aside(cache) == []


def test_many_processes_fetch_at_once(bucket: Place, make_project: Callable[..., Path], tmp_path: Path) -> None:
    """Each succeeds, and there is one folder."""
    sha = release(make_project("A"), bucket, "A").sha
    into = tmp_path / "into"
    running = [delivery("fetch", "--from", bucket.uri, "--into", str(into)) for _ in range(6)]
    said = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert [code for _, code in said] == [0] * 6, said
    assert sorted(path.name for path in into.iterdir()) == sorted([".lock", "current", sha])
    assert is_whole((into / "current").resolve())


def test_a_container_waits_for_the_first_release(
    folder: Folder, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    """It starts before anybody has deployed, and goes on as soon as somebody has."""
    waiting = delivery("fetch", "--from", folder.uri, "--into", str(tmp_path / "into"), "--wait", "60")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    released = delivery("release", "--to", folder.uri, "--project", str(make_project("A")))
    assert "is now current" in released.communicate(timeout=60)[0]
    assert f"Release {current(folder):.12}" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0


def test_without_a_release_the_message_says_how_to_make_one(folder: Folder, tmp_path: Path) -> None:
    """One line, no traceback."""
    process = delivery("fetch", "--from", folder.uri, "--into", str(tmp_path / "into"))
    _, error = process.communicate(timeout=60)
    assert error == f"delivery: There is no release in {folder.uri} yet: run `make deploy-dags`.\n"
    assert process.returncode == 1
