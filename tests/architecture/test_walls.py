"""The walls between the prefixes: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.project import PROJECT

DATA_LIBRARIES = {
    "pandas", "sklearn", "mlflow", "numpy", "numba", "scipy", "pyarrow", "pandera", "safetensors", "matplotlib",
    "pyspark",
}  # fmt: skip
WALLS = {
    "include/ratchet": {"airflow", "orchestration"},
    "include/dag_bundle": DATA_LIBRARIES | {"ratchet", "orchestration", "embedded"},
    "plugins": DATA_LIBRARIES | {"embedded"},
    "dags": DATA_LIBRARIES | {"embedded"},
    "include/orchestration": DATA_LIBRARIES | {"embedded"},
}
LIGHT = (
    "append_only",
    "answers",
    "windows",
    "keys",
    "catalogue",
    "candidates",
    "manifests",
    "jobs",
    "storage",
    "ledger",
    "settings",
    "errors",
    "engines",
    "batches",
)


def imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("prefix", WALLS)
def test_a_room_imports_nothing_from_behind_its_wall(prefix: str) -> None:
    """`ratchet` knows no Airflow; what Airflow parses knows no data library."""
    offenders = {
        f"{path.relative_to(PROJECT)} imports {', '.join(sorted(found))}"
        for path in (PROJECT / prefix).rglob("*.py")
        if (found := imports(path) & WALLS[prefix])
    }
    assert not offenders


def test_only_the_cli_and_the_tests_import_the_local_stand_ins() -> None:
    """Production code leans neither on the embedded default nor on the compose stack, which builds on it."""
    local = {path for prefix in ("composed", "embedded") for path in (PROJECT / "include" / prefix).rglob("*.py")}
    doors = {PROJECT / f"include/ratchet/commands/{name}.py" for name in ("local", "stack")}
    users = {path for prefix in ("include", "dags", "plugins") for path in (PROJECT / prefix).rglob("*.py")}
    assert {path for path in users if imports(path) & {"composed", "embedded"}} <= local | doors


def test_only_the_bundle_ties_delivery_to_airflow() -> None:
    """What deploys needs no Airflow; what a container fetches with, before Airflow starts, neither."""
    users = {path.name for path in (PROJECT / "include/dag_bundle").rglob("*.py") if "airflow" in imports(path)}
    assert users == {"bundle.py"}


@pytest.mark.parametrize("module", LIGHT)
def test_what_airflow_imports_of_ratchet_is_light(module: str) -> None:
    """A DAG file parses in under a second, because these modules pull in no data library."""
    assert not imports(PROJECT / f"include/ratchet/{module}.py") & DATA_LIBRARIES


def test_the_wall_check_itself_sees_an_import(tmp_path: Path) -> None:
    """A late import inside a function counts like one at the top."""
    (tmp_path / "leak.py").write_text("def f():\n    import pandas as pd\n    from airflow.sdk import dag\n")
    assert imports(tmp_path / "leak.py") == {"pandas", "airflow"}
