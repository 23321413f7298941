"""However a demo ends, no process of it is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from harness.shell import HOSTILE
from local.demo import absolute_source
from ratchet.errors import ConfigurationError

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts demos; one that a failed test leaves behind is killed."""
    with ExitStack() as stack:

        def begin(output: Path, *options: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "local", "demo", "--output", str(output), *options]
            child = subprocess.Popen(
                command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            return child

        yield begin


def started(child: subprocess.Popen[str]) -> list[int]:
    """Read its output until the services are up; returns their ports."""
    output = ""
    for text in child.stdout or ():
        output += text
        if len(ports := re.findall(r"127\.0\.0\.1:(\d+)", output)) >= 2:
            return [int(port) for port in ports]
    raise AssertionError(f"the demo ended with {child.wait()}: {output}")


def left_over(output: Path) -> list[str]:
    """Every process whose command line or environment contains the output folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(process.info["cmdline"] or []) + " ".join((process.info["environ"] or {}).values())
        if str(output) in words:
            found.append(f"{process.pid}: {' '.join(process.info['cmdline'] or [])}")
    return found


def gone(output: Path) -> bool:
    """Whether every process of a killed demo ends within 20 s."""
    processes = [psutil.Process(int(entry.partition(":")[0])) for entry in left_over(output)]
    return not psutil.wait_procs(processes, timeout=20)[1]


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listening_addresses(demo: int) -> list[str]:
    """The address of every TCP socket on which a process of the demo with this id listens."""
    found = []
    for process in [psutil.Process(demo), *psutil.Process(demo).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            found += [each.laddr.ip for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return found


def is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_and_no_port(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Ctrl-C and SIGTERM stop every process, and a message confirms it; until then, they listen on loopback only.

    Nothing that the shell of the caller has set keeps the demo from starting.
    """
    for name, text in HOSTILE.items():
        monkeypatch.setenv(name, text)
    child = start(tmp_path / "demo")
    ports = started(child)
    assert {address for address in listening_addresses(child.pid) if not is_loopback(address)} == set()
    child.send_signal(number)
    assert "everything that was started has been stopped" in child.communicate(timeout=60)[0]
    assert child.returncode == 130
    assert left_over(tmp_path) == []
    assert not any(listening(port) for port in ports)


def test_a_killed_demo_leaves_no_process_and_no_port(start: Start, tmp_path: Path) -> None:
    """After SIGKILL the process guard ends the others."""
    child = start(tmp_path / "demo")
    ports = started(child)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert gone(tmp_path), left_over(tmp_path)
    deadline = time.monotonic() + 20
    while any(listening(port) for port in ports):
        assert time.monotonic() < deadline, "a server still listens"


def test_two_demos_cannot_use_the_same_folder(start: Start, tmp_path: Path) -> None:
    """The second is refused before it can empty the folder of the first."""
    first = start(tmp_path / "demo")
    started(first)
    second = start(tmp_path / "demo")
    assert "Another run is using" in second.communicate(timeout=60)[0]
    assert second.returncode == 2
    assert (tmp_path / "demo" / "postgres").is_dir()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)


def test_a_failed_week_is_reported_with_the_reason_and_the_log(start: Start, tmp_path: Path) -> None:
    """A source that cannot be read ends the demo with exit code 1, and leaves no process."""
    (tmp_path / "train.csv").write_text("")
    child = start(tmp_path / "demo", "--weeks=1", f"--reviews={tmp_path / 'train.csv'}")
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 1
    assert "weeks.log" in output
    assert "is empty" in output
    assert left_over(tmp_path / "demo") == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", lambda here: "synthetic:"),
        ("synthetic:rows=500", lambda here: "synthetic:rows=500"),
        ("archive.tgz", lambda here: f"{here}/archive.tgz"),
        ("archive.tgz#sha256=ab", lambda here: f"{here}/archive.tgz#sha256=ab"),
        ("s3://bucket/key", lambda here: "s3://bucket/key"),
        ("kaggle:owner/set", lambda here: "kaggle:owner/set"),
    ],
)
def test_a_relative_path_is_made_absolute(
    given: str, expected: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job runs in its own folder, where a relative path would name another file."""
    monkeypatch.chdir(tmp_path)
    assert absolute_source(given) == expected(tmp_path)


def test_an_invalid_date_is_refused_before_any_service_starts(tmp_path: Path) -> None:
    """A typing mistake costs no start of the services."""
    from local.demo import run_dag_test

    with pytest.raises(ConfigurationError, match="is not a date"):
        run_dag_test("2026-13-01", "synthetic:", tmp_path / "dag-test")
    assert not (tmp_path / "dag-test").exists()
