"""Shadow mode: the challenger reads what the champion answered, when there is time, and nobody waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog

from ratchet.serving.answering import Reading
from ratchet.serving.challengers import Challenger
from ratchet.serving.schemas import ShadowState

log = structlog.get_logger()

PENDING = 32
"""Requests that may wait. The words of each are counted already, so one costs the challenger less than the answer cost;
a request of 1 MiB holds 3 MB of counts at most, hence all of them together 100 MB."""
END_SECONDS = 5.0


class Shadow:
    """A queue with a bound, and the thread that empties it. Each reading is told to `listeners`, which never raise."""

    def __init__(self, on: bool, listeners: Sequence[Callable[[Reading], None]] = ()) -> None:
        self.on, self.listeners = on, listeners
        self._waiting: queue.Queue[tuple[Reading, Challenger] | None] = queue.Queue(PENDING)
        self._counting = threading.Lock()
        self._state = ShadowState(read=0, agreed=0, dropped=0)

    def offer(self, readings: Sequence[Reading], challenger: Challenger | None) -> None:
        """Have the challenger read what the champion answered, unless too much waits already. Returns at once."""
        if not self.on or challenger is None:
            return
        for reading in readings:
            if reading.arm == "champion":
                try:
                    self._waiting.put_nowait((reading, challenger))
                except queue.Full:
                    self._count(dropped=len(reading.reviews))

    def state(self) -> ShadowState:
        """What became of all reviews so far."""
        return self._state

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read for as long as the block runs, and at its end what is waiting still."""
        if not self.on:
            yield
            return
        thread = threading.Thread(target=self._follow, name="shadow", daemon=True)
        thread.start()
        try:
            yield
        finally:
            try:
                self._waiting.put(None, timeout=END_SECONDS)
            except queue.Full:
                log.warning("shadow left behind", requests=self._waiting.qsize())
            thread.join(timeout=END_SECONDS)

    def _follow(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            self._read(*waiting)

    def _read(self, answered: Reading, challenger: Challenger) -> None:
        probabilities = challenger.model.probabilities(answered.counts)
        reading = replace(
            answered,
            arm="shadow",
            version=challenger.nominee.version,
            model=challenger.model,
            probabilities=probabilities,
        )
        same = (probabilities >= 0.5) == (answered.probabilities >= 0.5)
        self._count(read=len(same), agreed=int(same.sum()))
        for listener in self.listeners:
            listener(reading)

    def _count(self, **more: int) -> None:
        with self._counting:
            so_far = self._state.model_dump()
            self._state = ShadowState(**{name: number + more.get(name, 0) for name, number in so_far.items()})
