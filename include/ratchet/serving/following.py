"""Looking at something now and then, beside the requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def following(look: Callable[[], None], seconds: float, name: str) -> Iterator[None]:
    """Look at once and then every so many seconds, in a thread of its own, for as long as the block runs."""
    stop = threading.Event()

    def follow() -> None:
        while not stop.is_set():
            look()
            stop.wait(seconds)

    thread = threading.Thread(target=follow, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)  # it may hang in a download, which is dropped with the process
