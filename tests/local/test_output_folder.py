"""A run empties the folder of an earlier run, and no other folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from local.demo import run_dag_test, run_demo
from local.output_folder import MARK, emptied_folder
from ratchet.errors import ConfigurationError


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder with files that Ratchet did not write."""
    folder = tmp_path / "precious"
    (folder / "deeper").mkdir(parents=True)
    (folder / "reviews.csv").write_text("2,good,very good\n")
    (folder / "deeper" / "notes.txt").write_text("mine\n")
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(root: Path, source: str, message: str) -> None:
    """Assert that `root` is refused with `message`, and that nothing in it has changed."""
    before = contents(root) if root.is_dir() else root.read_bytes()
    with pytest.raises(ConfigurationError, match=message), emptied_folder(root, source):
        pytest.fail("the folder was accepted")
    assert before == (contents(root) if root.is_dir() else root.read_bytes())


@pytest.mark.parametrize("root", ["new", "new/nested", "empty"])
def test_a_new_or_empty_folder_is_accepted(tmp_path: Path, root: str) -> None:
    """It is marked before anything is written into it."""
    (tmp_path / "empty").mkdir()
    with emptied_folder(tmp_path / root, "synthetic:"):
        assert contents(tmp_path / root) == [MARK]


def test_the_folder_of_an_earlier_run_is_emptied(tmp_path: Path) -> None:
    """Links in it are removed; what they point to stays."""
    root, target = tmp_path / "demo", tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    with emptied_folder(root, "synthetic:"):
        (root / "logs").mkdir()
        (root / "logs" / "weeks.log").touch()
        (root / "link").symlink_to(target)
        (root / "dangling").symlink_to(tmp_path / "nothing")
    with emptied_folder(root, "synthetic:"):
        assert contents(root) == [MARK]
    assert contents(target) == ["kept"]


def test_a_run_that_was_killed_while_it_emptied_its_folder_is_emptied_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark stays to the end, so the rest is still known as Ratchet's."""
    root = tmp_path / "demo"
    with emptied_folder(root, "synthetic:"):
        for name in ("a", "b", "c"):
            (root / name).mkdir()

    def interrupted(path: Path) -> None:
        os.rmdir(path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt), emptied_folder(root, "synthetic:"):
            pytest.fail("not interrupted")
    assert len(contents(root)) == 3
    with emptied_folder(root, "synthetic:"):
        assert contents(root) == [MARK]


def test_a_folder_with_other_files_is_refused(precious: Path) -> None:
    """The message names one of them and says what to do."""
    refused(precious, "synthetic:", r"holds files that Ratchet did not write, for example deeper\. Give another")


def test_a_folder_that_holds_the_source_is_refused(precious: Path) -> None:
    """This holds even for a folder with the mark, in every form of the source."""
    (precious / MARK).touch()
    (precious.parent / "linked.csv").symlink_to(precious / "reviews.csv")
    for source in (
        f"{precious}/reviews.csv",
        f"{precious}/reviews.csv#sha256=0",
        f"{precious}",
        f"file://{precious}/reviews.csv",
        f"{precious.parent}/linked.csv",
    ):
        refused(precious, source, "holds the source")


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_a_folder_that_holds_the_working_directory_is_refused(
    precious: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """This holds even for a folder with the mark, and from any depth."""
    (precious / MARK).touch()
    monkeypatch.chdir(precious / inside)
    refused(precious, "synthetic:", "holds the working directory")


def test_a_file_is_refused(precious: Path) -> None:
    """The file stays as it is."""
    refused(precious / "reviews.csv", "synthetic:", "is a file")


def test_every_command_with_an_output_folder_refuses_a_strange_one(precious: Path) -> None:
    """`demo` and `dag-test` go through the same check before they start anything."""
    before = contents(precious)
    with pytest.raises(ConfigurationError, match="did not write"):
        run_demo(1, "", precious)
    with pytest.raises(ConfigurationError, match="did not write"):
        run_dag_test("2026-01-05", "", precious)
    with pytest.raises(ConfigurationError, match="holds the source"):
        run_demo(1, str(precious / "reviews.csv"), precious)
    assert contents(precious) == before
