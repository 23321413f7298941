"""Kills registered process groups when this process ends, even by SIGKILL.

A second process keeps the list of the groups and reads from a pipe whose other end this process holds. When this
process ends, however it ends, the pipe closes and the second process kills every group on the list. Linux's PDEATHSIG
is no alternative: it spares the grandchildren, and macOS has none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress


class ProcessGuard:
    """The guarded process's end of the pipe."""

    def __init__(self) -> None:
        theirs, ours = os.pipe()
        self._pipe = os.fdopen(ours, "wb", buffering=0)
        # In a session of its own, so that Ctrl-C does not stop the process that cleans up.
        command = [sys.executable, "-I", "-S", __file__]
        self._killer = subprocess.Popen(command, stdin=theirs, start_new_session=True)
        os.close(theirs)

    def register_self(self) -> None:
        """Add the calling process. A child calls it between fork and exec, so that no child is missed."""
        self._pipe.write(b"+%d\n" % os.getpid())

    def register(self, group: int) -> None:
        """Add a process group that another process has started."""
        self._pipe.write(b"+%d\n" % group)

    def unregister(self, group: int) -> None:
        """Remove a process group that has ended, before the system reuses its number."""
        if not self._pipe.closed:
            self._pipe.write(b"-%d\n" % group)

    def kill_all(self) -> None:
        """Kill every registered group now; no group can be registered afterwards."""
        self._pipe.close()
        self._killer.wait()


def kill_group(group: int) -> None:
    """Send SIGKILL to what is left of a process group, if anything is (macOS: EPERM for zombies)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def wait_and_kill(records: Iterable[str]) -> None:
    """Read `+group` and `-group` until the pipe closes, then kill the groups that are still registered."""
    groups: set[int] = set()
    for record in records:
        (groups.add if record[0] == "+" else groups.discard)(int(record[1:]))
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    wait_and_kill(sys.stdin)
