"""Calls a function at regular intervals in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from ratchet.logs import error_fields

log = structlog.get_logger()

STOP_SECONDS = 2.0
"""The time to wait for a poll at the end, in seconds. It may hang in a download, which is dropped with the process."""


@contextmanager
def polling(poll: Callable[[], None], seconds: float, name: str) -> Iterator[None]:
    """Call `poll` at once and then every `seconds`, in a thread named `name`, while the block runs.

    An unexpected error is logged and the next poll follows, because nothing would start the thread again.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                poll()
            except Exception as error:  # noqa: BLE001 - any error; the state of the last successful poll is kept
                _log_failure(name, error)
            stop.wait(seconds)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=STOP_SECONDS)


def _log_failure(name: str, error: Exception) -> None:
    log.error("poll failed", thread=name, **error_fields(error))
