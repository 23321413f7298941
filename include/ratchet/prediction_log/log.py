"""The prediction log: every answer goes to the sink, or to the spool until the sink is back, and is counted.

Requests that come together share one transaction or one flush: the first one through the door writes the rows of all
that wait behind it (group commit). A thread looks after the rest: it flushes the buffer, and replays the spool. That
may take long, so where there is a buffer, a second thread flushes it in time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from ratchet.errors import ServiceUnavailable
from ratchet.logs import fault
from ratchet.prediction_log.feedback import Feedback, Outcome
from ratchet.prediction_log.predictions import Prediction
from ratchet.prediction_log.sinks.base import Sink, Written
from ratchet.prediction_log.spool import Spool, SpoolFull, new_name

log = structlog.get_logger()

MOST_BUFFERED = 10_000  # rows in memory; whoever brings more waits until they are written
LITTLE = 1 << 20  # bytes of spool that may be replayed while requests wait
END_SECONDS = 5  # longer than a sink that hangs; what it has not taken by then stays in the spool


@dataclass(frozen=True)
class LogState:
    """What became of all rows since this process started."""

    written: int
    """New in the sink, be it straight or out of the spool, also what another process had left there."""
    repeated: int
    """There already: a caller asked again."""
    contradicting: int
    """Not kept, because the prediction_id was used before, for another review or by another model version."""
    spooled: int
    """Written to the spool; every row of a sink that takes files."""
    lost: int
    """Neither sink nor spool took them."""
    spool_bytes: int
    sink_up: bool
    """Whether the sink took what it was last given."""


@dataclass
class _Group:
    """Rows that are written together."""

    rows: list[Prediction] = field(default_factory=list)
    stored: bool = False
    """Or lost: nobody has to see to them any more."""


class PredictionLog:
    """The log of one process. Use it as a context manager: at its end nothing is left in memory.

    In fsync mode `record` returns when rows are durable. Buffered, it returns at once, and a killed process loses the
    rows of the last `flush_seconds`.
    """

    def __init__(self, sink: Sink, spool: Spool, *, buffered: bool = False, flush_seconds: float = 1.0) -> None:
        self.sink, self.spool, self.buffered, self.flush_seconds = sink, spool, buffered, flush_seconds
        self._gathering, self._writing, self._counting = threading.Lock(), threading.Lock(), threading.Lock()
        self._group = _Group()
        self._counts: Counter[str] = Counter()
        self._told_lost = 0
        self._up = False  # until the thread has asked
        self._problem, self._lost_because = "", ""
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._stop.clear()
        tasks = [self._follow, self._flush_in_time] if self.buffered else [self._follow]
        self._threads = [threading.Thread(target=task, name="prediction-log", daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads:  # one may hang in a sink, with rows that are still in the spool
            thread.join(max(0.0, deadline - time.monotonic()))
        self._flush()
        self.spool.seal()
        if left := self.spool.bytes():
            log.warning("rows stay in the spool", bytes=left, spool=str(self.spool.root), because=self._problem)
        self.sink.close()

    def record(self, predictions: Sequence[Prediction]) -> None:
        """Keep what was answered. Whatever is down, this raises nothing: rows are spooled, or counted as lost."""
        with self._gathering:
            group = self._group
            group.rows.extend(predictions)
        if not self.buffered or len(group.rows) >= MOST_BUFFERED:
            self._commit(group)

    def add_feedback(self, feedback: Sequence[Feedback]) -> list[Outcome]:
        """Keep true labels, durably when it returns, in either mode. Raises SpoolFull if nothing takes them."""
        if self.sink.immediate and self._up:
            try:
                return self._into_sink(new_name(), [], list(feedback)).outcomes
            except ServiceUnavailable as error:
                self._fell(error)
        with self._writing:
            self.spool.append(feedback)
        self._count(spooled=len(feedback))
        return ["accepted"] * len(feedback)

    def state(self) -> LogState:
        """What became of all rows so far."""
        with self._counting:
            counts = dict(self._counts)
        names = ("written", "repeated", "contradicting", "spooled", "lost")
        return LogState(
            **{name: counts.get(name, 0) for name in names}, spool_bytes=self.spool.bytes(), sink_up=self._up
        )

    def _commit(self, group: _Group) -> None:
        """Return when a group is stored: by this thread, with all that came meanwhile, or by one before it."""
        with self._writing:
            if group.stored:
                return
            with self._gathering:
                if self._group is group:
                    self._group = _Group()
            try:
                self._store(group.rows)
            except Exception:
                if self.buffered:  # else whoever waits for these rows tries again, and gets no answer without them
                    group.stored = True
                    self._count(lost=len(group.rows))
                raise
            group.stored = True

    def _flush(self) -> None:
        with self._gathering:
            group = self._group
        if group.rows:
            self._commit(group)

    def _store(self, rows: list[Prediction]) -> None:
        """Give rows to whoever takes them first. A sink that is known to be down is not waited for."""
        ways = [self._sink_took, self._spool_took] if self.sink.immediate else [self._spool_took, self._sink_took]
        if not any(way(rows) for way in (ways if self._up else [self._spool_took])):
            self._count(lost=len(rows))

    def _sink_took(self, rows: list[Prediction]) -> bool:
        try:
            self._into_sink(new_name(), rows, [])
        except ServiceUnavailable as error:
            self._fell(error)
            return False
        return True

    def _spool_took(self, rows: list[Prediction]) -> bool:
        try:
            self.spool.append(rows)
        except SpoolFull as error:
            self._lost_because = str(error)
            return False
        self._count(spooled=len(rows))
        return True

    def _into_sink(self, name: str, predictions: list[Prediction], feedback: list[Feedback]) -> Written:
        written = self.sink.write(name, predictions, feedback)
        told = Counter(written.outcomes)
        self._count(
            written=written.new + len(feedback) - told["known"] - told["contradicts"],
            repeated=written.repeated + told["known"],
            contradicting=written.contradicting + told["contradicts"],
        )
        return written

    def _follow(self) -> None:
        """Now, every `flush_seconds`, and once more at the end: empty the buffer, and replay the spool."""
        while True:
            last = self._stop.is_set()
            self._guarded(self._flush)
            self._guarded(self._look_after)
            if last:
                return
            self._stop.wait(self.flush_seconds)

    def _flush_in_time(self) -> None:
        """The same for the buffer alone; the last time is the other thread's."""
        while not self._stop.wait(self.flush_seconds):
            self._guarded(self._flush)

    def _guarded(self, task: Callable[[], None]) -> None:
        """A fault of the code ends no thread: nobody would start it again. Rows are spooled until a replay succeeds."""
        try:
            task()
        except Exception as error:  # noqa: BLE001 - whatever it is; requests have a barrier of their own
            log.error("prediction log failed", **fault(error))
            self._up, self._problem = False, f"a fault of the code: {type(error).__name__}"

    def _look_after(self) -> None:
        """Replay the spool if there is any, and find out whether a sink that was down is up."""
        try:
            if not self._up or self.spool.bytes():
                self._replay()
        except (ServiceUnavailable, OSError) as error:
            self._fell(error)
        with self._counting:
            lost = self._counts["lost"] - self._told_lost
            self._told_lost += lost
        if lost:
            log.error("predictions not logged", rows=lost, because=self._lost_because)

    def _replay(self) -> None:
        """Bring the spool to the sink, oldest rows first, and only then let new ones go there straight."""
        self.sink.check()
        if self.sink.immediate:
            while self._replayed() >= LITTLE:
                self._seal()
            with self._writing:
                self.spool.seal()
                self._replayed()
                self._rose()
        else:  # it is given nothing past the spool, so nobody has to wait
            self._seal()
            self._replayed()
            self._rose()

    def _seal(self) -> None:
        with self._writing:
            self.spool.seal()

    def _replayed(self) -> int:
        """Replay what can be; returns how many bytes that were."""
        size = 0
        for segment in self.spool.segments():
            size += segment.size
            predictions, feedback = segment.rows()
            self._into_sink(segment.name, predictions, feedback)
            segment.forget()
        return size

    def _count(self, **rows: int) -> None:
        with self._counting:
            self._counts.update(rows)

    def _fell(self, error: Exception) -> None:
        if self._up or not self._problem:
            log.error("prediction log spools", because=str(error))
        self._up, self._problem = False, str(error)

    def _rose(self) -> None:
        if self._problem:
            log.info("prediction log writes again")
        self._up, self._problem = True, ""
