"""Shadow mode: the challenger reads what the champion answered, when there is time, and nobody waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog

from ratchet.logs import fault
from ratchet.serving.api.schemas import ShadowCounts
from ratchet.serving.inference.answering import Reading
from ratchet.serving.models.challenger import Challenger

log = structlog.get_logger()

MOST_WAITING = 16_000_000
"""Characters of the reviews that may wait, with OVERHEAD for each. Their counts take three times the bytes at most."""
OVERHEAD = 1_000
END_SECONDS = 2.0  # for what waits still; the rest goes unread


class Shadow:
    """A queue with a bound, and the thread that empties it. Each reading is told to `listeners`."""

    def __init__(self, on: bool, listeners: Sequence[Callable[[Reading], None]] = ()) -> None:
        self.on, self.listeners = on, listeners
        self._waiting: queue.SimpleQueue[tuple[Reading, Challenger] | None] = queue.SimpleQueue()
        self._size = 0
        self._counting = threading.Lock()
        self._state = ShadowCounts(read=0, agreed=0, dropped=0)

    def offer(self, readings: Sequence[Reading], challenger: Challenger | None) -> None:
        """Have the challenger read what the champion answered, unless too much waits already. Returns at once."""
        if not self.on or challenger is None:
            return
        for reading in readings:
            if reading.arm == "champion":
                if self._fits(reading):
                    self._waiting.put((reading, challenger))
                else:
                    self._count(dropped=len(reading.reviews))

    def state(self) -> ShadowCounts:
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
            self._waiting.put(None)
            thread.join(timeout=END_SECONDS)
            if thread.is_alive():
                log.warning("shadow left behind", requests=self._waiting.qsize())

    def _fits(self, reading: Reading) -> bool:
        size = _size(reading)
        with self._counting:
            fits = self._size + size <= MOST_WAITING
            self._size += size if fits else 0
        return fits

    def _follow(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            try:
                self._read(*waiting)
            except Exception as error:  # noqa: BLE001 - whatever it is, what waits behind it is read
                log.error("shadow failed", **fault(error))
                self._count(dropped=len(waiting[0].reviews), size=-_size(waiting[0]))

    def _read(self, answered: Reading, challenger: Challenger) -> None:
        begun = time.perf_counter()
        probabilities = challenger.model.probabilities(answered.counts)
        reading = replace(
            answered,
            arm="shadow",
            version=challenger.nominee.version,
            model=challenger.model,
            probabilities=probabilities,
            seconds=(time.perf_counter() - begun) / len(answered.reviews),
        )
        same = (probabilities >= 0.5) == (answered.probabilities >= 0.5)
        for listener in self.listeners:
            listener(reading)
        self._count(read=len(same), agreed=int(same.sum()), size=-_size(answered))

    def _count(self, size: int = 0, **more: int) -> None:
        with self._counting:
            self._size += size
            so_far = self._state.model_dump()
            self._state = ShadowCounts(**{name: number + more.get(name, 0) for name, number in so_far.items()})


def _size(reading: Reading) -> int:
    return sum(len(review.title) + len(review.text) + OVERHEAD for review in reading.reviews)
