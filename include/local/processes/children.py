"""Child processes: each writes to its own log file, is waited for until it is ready, and never outlives its parent."""

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

from local.docker_api.process_guard import ProcessGuard, kill_group
from ratchet.errors import ServiceUnavailable

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


def free_port() -> int:
    """A TCP port of the loopback interface on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether no process listens on this TCP port of the loopback interface now."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Children:
    """The child processes of one run; `logs` is the folder of their log files.

    They end, last started first, when the block ends, and also when this process is killed with SIGKILL.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._guard = ProcessGuard()
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Children:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for _name, child in reversed(self._running):
            self._end(child)
        self._guard.kill_all()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a process in its own process group; its output goes to `<logs>/<name>.log`."""
        with (self.logs / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._guard.register_self,  # noqa: PLW1509 - it takes no lock
            )
        self._running.append((name, child))
        return child

    def register(self, group: int) -> None:
        """Kill this process group too if this process is killed; on a normal end its owner stops it."""
        self._guard.register(group)

    def wait_for(self, name: str, url: str, seconds: float = 120.0) -> None:
        """Wait until `url` responds with 200.

        Raises ServiceUnavailable, with the end of the log, if the child ends or is not ready within `seconds`.
        """
        child = next(child for running, child in self._running if running == name)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and child.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http URLs of local services
                    if response.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        state = "ended" if child.poll() is not None else f"was not ready within {seconds:.0f} s"
        raise ServiceUnavailable(f"{name} {state}. The end of {self.logs / name}.log:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a child's log."""
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
        kill_group(child.pid)
        child.wait()
        self._guard.unregister(child.pid)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Within the block, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that every child is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
