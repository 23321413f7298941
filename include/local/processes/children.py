"""Servers as child processes: each has a log file, is waited for until it answers, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from local.docker_api.lifeline import Lifeline, kill
from ratchet.errors import ServiceUnavailable

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether nobody listens on this TCP port of the loopback interface now."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Children:
    """The child processes of one run. Leaving the block ends them, last first; so does a kill -9 of this process."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._lifeline = Lifeline()
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Children:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for _, child in reversed(self._running):
            self._end(child)
        self._lifeline.cut()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a server in a process group of its own; what it prints goes to `<logs>/<name>.log`."""
        with (self.logs / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._lifeline.enrol,
            )
        self._running.append((name, child))
        return child

    def adopt(self, group: int) -> None:
        """End this process group too if this process is killed; on an orderly end its owner stops it."""
        self._lifeline.adopt(group)

    def wait_for(self, name: str, url: str, seconds: float = 120.0) -> None:
        """Wait until `url` answers 200. Raises ServiceUnavailable, with the log's end, if it dies or is too slow."""
        child = next(child for running, child in self._running if running == name)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and child.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        state = "ended" if child.poll() is not None else f"did not answer within {seconds:.0f} s"
        raise ServiceUnavailable(f"{name} {state}. The end of {self.logs / name}.log:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
        kill(child.pid)
        child.wait()
        self._lifeline.dismiss(child.pid)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Within the block, SIGTERM unwinds like Ctrl-C, so that everything started is ended."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
