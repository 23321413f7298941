"""No container outlives its engine, not even after ``kill -9``.

A second process keeps a list of the containers and holds the other end of a pipe. When the engine ends,
however it ends, the pipe closes and that process kills every group on the list. (Linux's PDEATHSIG would
spare the grandchildren, and macOS has none.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress


class Lifeline:
    """The engine's end of the pipe."""

    def __init__(self) -> None:
        theirs, ours = os.pipe()
        self._pipe = os.fdopen(ours, "wb", buffering=0)
        # In a session of its own: the Ctrl-C that stops the engine must not stop who cleans up after it.
        command = [sys.executable, "-I", "-S", __file__]
        self._keeper = subprocess.Popen(command, stdin=theirs, start_new_session=True)
        os.close(theirs)

    def enrol(self) -> None:
        """Lists the calling process: a container does so itself, between fork and exec; none is missed."""
        self._pipe.write(b"+%d\n" % os.getpid())

    def adopt(self, group: int) -> None:
        """Lists a process group that someone else has started."""
        self._pipe.write(b"+%d\n" % group)

    def dismiss(self, group: int) -> None:
        """Takes a finished container off the list, before its number is another process's."""
        if not self._pipe.closed:
            self._pipe.write(b"-%d\n" % group)

    def cut(self) -> None:
        """Ends every container, now; none can start after it."""
        self._pipe.close()
        self._keeper.wait()


def kill(group: int) -> None:
    """SIGKILL to what is left of a process group, if anything is (macOS: EPERM for zombies)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def keep(records: Iterable[str]) -> None:
    """Reads ``+group`` and ``-group`` until the pipe closes, then kills the groups still listed."""
    groups: set[int] = set()
    for record in records:
        (groups.add if record[0] == "+" else groups.discard)(int(record[1:]))
    for group in groups:
        kill(group)


if __name__ == "__main__":
    keep(sys.stdin)
