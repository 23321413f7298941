"""The import rules that import-linter cannot check: DAG and plugin files, and circles between packages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.packages import floors, table
from harness.project import PROJECT

LIGHT = {"airflow", "orchestration", "ratchet"}
STANDARD = set(sys.stdlib_module_names)


def imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("folder", ["dags", "plugins"])
def test_dags_and_plugins_import_only_what_is_light(folder: str) -> None:
    """The contracts in pyproject.toml check their imports of `orchestration` and `ratchet`."""
    files = list((PROJECT / folder).rglob("*.py"))
    assert files
    for file in files:
        assert imports(file) - STANDARD <= LIGHT, f"{file} imports {imports(file) - STANDARD - LIGHT}"


def test_the_import_check_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    """A late import counts like one at the top."""
    (tmp_path / "leak.py").write_text("def f():\n    import pandas as pd\n    from airflow.sdk import dag\n")
    assert imports(tmp_path / "leak.py") == {"pandas", "airflow"}


def test_the_contracts_on_imports_are_kept() -> None:
    """`make lint` reports the same, and names the chain of imports that breaks a contract."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_contract_that_is_broken_is_found(tmp_path: Path) -> None:
    """A late import of pandas in a light module fails the linter: the contracts are transitive and not empty."""
    copy = tmp_path / "include"
    subprocess.run(["cp", "-r", str(PROJECT / "include"), str(copy)], check=True)
    with (copy / "ratchet" / "ledger" / "store.py").open("a") as file:
        file.write("\n\ndef leak() -> None:\n    import pandas\n")
    (tmp_path / "pyproject.toml").write_text((PROJECT / "pyproject.toml").read_text())
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy)!r}); "
               "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "BROKEN" in done.stdout
    assert "pandas" in done.stdout


def test_packages_stand_on_at_most_eleven_floors_without_a_circle() -> None:
    """Each package imports only packages below it; a circle raises with the names of its packages."""
    assert max(floors().values()) <= 11


def test_the_table_of_floors_in_the_docs_is_up_to_date() -> None:
    """Put the output of `PYTHONPATH=include python tests/architecture/packages.py` into docs/architecture.md."""
    page = (PROJECT / "docs/architecture.md").read_text()
    found = re.search(r"<!-- floors -->\n(.*)\n<!-- end of floors -->", page, re.DOTALL)
    assert found
    assert found[1].strip() == table()
