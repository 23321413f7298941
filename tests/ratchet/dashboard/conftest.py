"""Stores for the pages: an empty one and one with twelve weeks; a real Postgres; the dashboard as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.dashboard import twelve_weeks
from harness.project import PROJECT
from local.processes import postgres


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for data, which RATCHET_STORE names."""
    monkeypatch.setenv("RATCHET_STORE", str(tmp_path))
    return tmp_path


@pytest.fixture
def weeks(store: Path) -> Path:
    """The store with twelve weeks and a rollback."""
    twelve_weeks(store)
    return store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database in an embedded Postgres."""
    with postgres.running(tmp_path_factory.mktemp("postgres")) as urls:
        yield urls["ratchet"]


@pytest.fixture
def process(weeks: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`ratchet dashboard` on a free port with a home directory that is not writable, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "dashboard", "--port", str(port), "--store", str(weeks)],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "include"), "HOME": "/proc"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
