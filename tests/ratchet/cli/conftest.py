"""The command line, run in this process on a store of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from ratchet.cli.app import run_to_exit_code


@pytest.fixture
def ratchet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line on the store in `tmp_path`; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ratchet", *arguments])
        try:
            code = run_to_exit_code()
        finally:
            structlog.reset_defaults()
            structlog.contextvars.clear_contextvars()
        return code, *capfd.readouterr()

    return run
