"""A limit to waiting for Postgres that no option of libpq's gives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Watch:
    """Cuts connections on which somebody waits for too long, so that the wait ends in an error.

    A server that hangs, or whose disk does, keeps its connections alive, and does not see to its own timeouts.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadlines: dict[int, float] = {}  # by file descriptor
        self._changing = threading.Lock()
        self._stop: threading.Event | None = None

    @contextmanager
    def over(self, file: int) -> Iterator[None]:
        """Cut the connection with this descriptor if the block lasts too long."""
        with self._changing:
            self._deadlines[file] = time.monotonic() + self.seconds
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._follow, args=[self._stop], name="watch-postgres", daemon=True).start()
        try:
            yield
        finally:
            with self._changing:
                self._deadlines.pop(file, None)

    def close(self) -> None:
        """Watch no more, until somebody waits again."""
        with self._changing:
            if self._stop:
                self._stop.set()
            self._stop = None

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(self.seconds / 10):
            with self._changing:
                overdue = [file for file, deadline in self._deadlines.items() if deadline < time.monotonic()]
                for file in overdue:
                    del self._deadlines[file]
                    _cut(file)


def _cut(file: int) -> None:
    """End a connection for both sides; its owner closes the descriptor."""
    with suppress(OSError), socket.socket(fileno=os.dup(file)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
