"""`python -m local`: an entry point of its own, beside the `ratchet` command and not part of it."""

from __future__ import annotations

import ast
import subprocess
import sys

from harness.project import PROJECT


def local(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "local", *words], capture_output=True, text=True, check=False)


def test_the_help_lists_every_command() -> None:
    """Commands for processes at the top, those for containers under `stack`."""
    commands = local("--help").stdout
    assert all(name in commands for name in ("demo", "serve", "dag-test", "stack"))
    stack = local("stack", "--help").stdout
    assert all(name in stack for name in ("up", "run", "deploy", "logs", "doctor", "down"))


def test_an_error_for_people_is_one_line_with_a_remedy() -> None:
    """A ConfigurationError is printed without a traceback, and the exit code is that of the error."""
    done = local("dag-test", "--date", "2026-13-01")
    assert done.returncode == 2
    assert done.stderr == "local: '2026-13-01' is not a date. Write DATE=2026-01-05.\n"


def test_ratchet_imports_neither_local_nor_the_dag_bundle() -> None:
    """The wheel contains only `ratchet`, so such an import would fail in every image."""
    for path in (PROJECT / "include/ratchet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"local", "dag_bundle"}, path
