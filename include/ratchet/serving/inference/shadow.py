"""Shadow mode: the challenger scores the champion's reviews in a thread of its own, and no request waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog
from pydantic import BaseModel, ConfigDict, Field

from ratchet.logs import error_fields
from ratchet.serving.inference.predict import ArmPredictions, request_size
from ratchet.serving.models.challenger import LoadedChallenger

log = structlog.get_logger()

MAX_QUEUED = 16_000_000
"""Size of the queued reviews in characters, with REVIEW_OVERHEAD for each. Their counts take at most three times the
bytes."""
STOP_SECONDS = 2.0  # for the queue at the end; reviews still queued then are not scored


class ShadowCounts(BaseModel):
    """Numbers of reviews in shadow mode since the process started."""

    model_config = ConfigDict(frozen=True)

    read: int = Field(description="Reviews that the challenger scored.")
    agreed: int = Field(description="Scored reviews for which both versions predicted the same label.")
    dropped: int = Field(description="Reviews not scored, because the queue was full or scoring failed.")


class Shadow:
    """A bounded queue and the thread that scores what is in it. Listeners are called with each result."""

    def __init__(self, enabled: bool, listeners: Sequence[Callable[[ArmPredictions], None]] = ()) -> None:
        self.enabled, self.listeners = enabled, listeners
        self._queue: queue.SimpleQueue[tuple[ArmPredictions, LoadedChallenger] | None] = queue.SimpleQueue()
        self._queued_size = 0
        self._lock = threading.Lock()
        self._counts = ShadowCounts(read=0, agreed=0, dropped=0)

    def submit(self, predictions: Sequence[ArmPredictions], challenger: LoadedChallenger | None) -> None:
        """Queue the champion's predictions for the challenger, or drop them if the queue is full. Returns at once."""
        if not self.enabled or challenger is None:
            return
        for each in predictions:
            if each.arm == "champion":
                if self._reserve(request_size(each.reviews)):
                    self._queue.put((each, challenger))
                else:
                    self._count(dropped=len(each.reviews))

    def counts(self) -> ShadowCounts:
        """The counts so far."""
        return self._counts

    @contextmanager
    def running(self) -> Iterator[None]:
        """Score while the block runs; at its end, score what is still queued."""
        if not self.enabled:
            yield
            return
        thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            thread.join(timeout=STOP_SECONDS)
            if thread.is_alive():
                log.warning("shadow queue not empty at the end", requests=self._queue.qsize())

    def _reserve(self, size: int) -> bool:
        """Reserve space in the queue. Returns False if there is too little."""
        with self._lock:
            fits = self._queued_size + size <= MAX_QUEUED
            self._queued_size += size if fits else 0
        return fits

    def _run(self) -> None:
        while (queued := self._queue.get()) is not None:
            predictions, _ = queued
            try:
                self._score(*queued)
            except Exception as error:  # noqa: BLE001 - any error; the requests queued behind it are scored
                self._failed(predictions, error)

    def _failed(self, predictions: ArmPredictions, error: Exception) -> None:
        log.error("shadow failed", **error_fields(error))
        self._count(dropped=len(predictions.reviews), size=-request_size(predictions.reviews))

    def _score(self, predictions: ArmPredictions, challenger: LoadedChallenger) -> None:
        begun = time.perf_counter()
        probabilities = challenger.model.probabilities(predictions.counts)
        found = replace(
            predictions,
            arm="shadow",
            version=challenger.version,
            model=challenger.model,
            probabilities=probabilities,
            seconds=(time.perf_counter() - begun) / len(predictions.reviews),
        )
        same = (probabilities >= 0.5) == (predictions.probabilities >= 0.5)
        for listener in self.listeners:
            listener(found)
        self._count(read=len(same), agreed=int(same.sum()), size=-request_size(predictions.reviews))

    def _count(self, size: int = 0, **reviews: int) -> None:
        with self._lock:
            self._queued_size += size
            so_far = self._counts.model_dump()
            self._counts = ShadowCounts(**{name: count + reviews.get(name, 0) for name, count in so_far.items()})
