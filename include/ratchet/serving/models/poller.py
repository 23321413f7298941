"""Looking at something now and then, beside the requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from ratchet.logs import fault

log = structlog.get_logger()

END_SECONDS = 2.0
"""A look may hang in a download, which is dropped with the process."""


@contextmanager
def following(look: Callable[[], None], seconds: float, name: str) -> Iterator[None]:
    """Look at once and then every so many seconds, in a thread of its own, for as long as the block runs.

    A look that fails is one event in the log. The next one follows: nobody would start the thread again.
    """
    stop = threading.Event()

    def follow() -> None:
        while not stop.is_set():
            try:
                look()
            except Exception as error:  # noqa: BLE001 - whatever it is, what was seen before stays, and serves
                log.error("look failed", thread=name, **fault(error))
            stop.wait(seconds)

    thread = threading.Thread(target=follow, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=END_SECONDS)
