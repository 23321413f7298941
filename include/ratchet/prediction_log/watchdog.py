"""A time limit for waiting on Postgres, which none of libpq's options gives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class ConnectionWatchdog:
    """Shuts down connections that are waited on for longer than `seconds`, so that the wait ends in an error.

    A server that hangs, or whose disk hangs, keeps its connections open and does not apply its own timeouts.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadlines: dict[int, float] = {}  # by file descriptor
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    @contextmanager
    def limit(self, descriptor: int) -> Iterator[None]:
        """Shut down the connection with this file descriptor if the block takes longer than the limit."""
        with self._lock:
            self._deadlines[descriptor] = time.monotonic() + self.seconds
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._run, args=[self._stop], name="watch-postgres", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(descriptor, None)

    def close(self) -> None:
        """Stop the thread. The next `limit` starts another one."""
        with self._lock:
            if self._stop:
                self._stop.set()
            self._stop = None

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self.seconds / 10):
            with self._lock:
                overdue = [each for each, deadline in self._deadlines.items() if deadline < time.monotonic()]
                for descriptor in overdue:
                    del self._deadlines[descriptor]
                    _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    """End a connection for both sides. The owner closes the descriptor."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
