"""The prediction log: rows go to the sink, or to the spool until the sink is available again, and are counted.

Rows of concurrent callers share one transaction or one flush (group commit): rows that arrive during a write form the
next group, and the first thread that gets the write lock stores the whole group. Threads call `record`; callers on an
event loop call `record_async`, which has one thread of the loop's executor store the group for all of them.

A background thread flushes the buffer and replays the spool. A replay may take long, so in buffered mode a second
thread flushes the buffer on time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from ratchet.errors import ServiceUnavailable
from ratchet.logs import error_fields
from ratchet.prediction_log.records import FeedbackOutcome, FeedbackRecord, PredictionRecord
from ratchet.prediction_log.sinks.base import Sink, WriteResult
from ratchet.prediction_log.spool import Spool, SpoolFull, new_name

log = structlog.get_logger()

MAX_BUFFERED = 10_000  # rows in memory; a caller who exceeds it waits until they are written
SMALL_REPLAY = 1 << 20  # bytes of spool that may be replayed while requests wait
STOP_SECONDS = 5  # longer than the timeout of a sink; rows not written by then stay in the spool


@dataclass(frozen=True)
class LogState:
    """Numbers of rows since this process started, and the state of spool and sink."""

    written: int
    """Rows new in the sink, directly or from the spool; rows that another process had spooled count too."""
    repeated: int
    """Rows that were stored before, because the caller repeated a request."""
    contradicting: int
    """Rows dropped because their prediction_id was used before for another review or by another version."""
    spooled: int
    """Rows written to the spool; with a sink of files, every row."""
    lost: int
    """Rows that neither sink nor spool accepted."""
    spool_bytes: int
    sink_up: bool
    """Whether the last write to the sink succeeded."""


@dataclass
class _Group:
    """Rows that are written together."""

    rows: list[PredictionRecord] = field(default_factory=list)
    done: bool = False
    """Whether the rows are stored or counted as lost."""
    write: asyncio.Future[None] | None = None
    """The pending write that all callers on the event loop wait for."""


class PredictionLog:
    """The log of one process. Use it as a context manager: at its end no row is left in memory.

    In fsync mode `record` returns when the rows are durable. In buffered mode it returns at once, and a killed process
    loses the rows of the last `flush_seconds`.
    """

    def __init__(self, sink: Sink, spool: Spool, *, buffered: bool = False, flush_seconds: float = 1.0) -> None:
        self.sink, self.spool, self.buffered, self.flush_seconds = sink, spool, buffered, flush_seconds
        self._gathering, self._writing, self._counting = threading.Lock(), threading.Lock(), threading.Lock()
        self._group = _Group()
        self._counts: Counter[str] = Counter()
        self._reported_lost = 0
        self._sink_up = False  # until the thread has checked
        self._sink_problem, self._spool_problem = "", ""
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._stop.clear()
        tasks = [self._run, self._run_flush] if self.buffered else [self._run]
        self._threads = [threading.Thread(target=task, name="prediction-log", daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:  # one may hang in the sink, with rows that are still in the spool
            thread.join(max(0.0, deadline - time.monotonic()))
        self._flush()
        self.spool.seal()
        if left := self.spool.bytes():
            log.warning("rows left in the spool", bytes=left, spool=str(self.spool.root), problem=self._sink_problem)
        self.sink.close()

    def record(self, predictions: Sequence[PredictionRecord]) -> None:
        """Store rows. An unavailable sink or spool raises nothing: rows are spooled, or counted as lost."""
        group = self._gather(predictions)
        if self._needs_write(group):
            self._commit(group)

    async def record_async(self, predictions: Sequence[PredictionRecord]) -> None:
        """Store rows as `record` does, without blocking the event loop. All callers must be on one event loop.

        The write of a group is one task in the loop's executor, so that the loop is notified once per group. An
        unexpected error reaches every caller of the group. A cancelled caller does not cancel the write.
        """
        group = self._gather(predictions)
        if self._needs_write(group):
            if group.write is None:
                group.write = asyncio.get_running_loop().run_in_executor(None, self._commit, group)
            await asyncio.shield(group.write)

    def add_feedback(self, feedback: Sequence[FeedbackRecord]) -> list[FeedbackOutcome]:
        """Store true labels, durably when it returns, in either mode. Raises SpoolFull if that fails."""
        if self.sink.immediate and self._sink_up:
            try:
                return self._write_to_sink(new_name(), [], list(feedback)).outcomes
            except ServiceUnavailable as error:
                self._sink_failed(error)
        with self._writing:
            self.spool.append(feedback)
        self._count(spooled=len(feedback))
        return ["accepted"] * len(feedback)

    def state(self) -> LogState:
        """The counts so far."""
        with self._counting:
            counts = dict(self._counts)
        return LogState(
            written=counts.get("written", 0),
            repeated=counts.get("repeated", 0),
            contradicting=counts.get("contradicting", 0),
            spooled=counts.get("spooled", 0),
            lost=counts.get("lost", 0),
            spool_bytes=self.spool.bytes(),
            sink_up=self._sink_up,
        )

    def _gather(self, predictions: Sequence[PredictionRecord]) -> _Group:
        """Add rows to the group that is written next."""
        with self._gathering:
            group = self._group
            group.rows.extend(predictions)
        return group

    def _needs_write(self, group: _Group) -> bool:
        return not self.buffered or len(group.rows) >= MAX_BUFFERED

    def _commit(self, group: _Group) -> None:
        """Return when a group is stored: by this thread, with all rows that arrived meanwhile, or by one before it."""
        with self._writing:
            if group.done:
                return
            with self._gathering:
                if self._group is group:
                    self._group = _Group()
            try:
                self._store(group.rows)
            except Exception:
                if self.buffered:  # in fsync mode each caller tries again or gets the error
                    group.done = True
                    self._count(lost=len(group.rows))
                raise
            group.done = True

    def _flush(self) -> None:
        with self._gathering:
            group = self._group
        if group.rows:
            self._commit(group)

    def _store(self, rows: list[PredictionRecord]) -> None:
        """Write rows to the first of sink and spool that accepts them. A sink that is known to be down is skipped."""
        if not self._sink_up:
            targets = [self._store_in_spool]
        elif self.sink.immediate:
            targets = [self._store_in_sink, self._store_in_spool]
        else:
            targets = [self._store_in_spool, self._store_in_sink]
        if not any(store(rows) for store in targets):
            self._count(lost=len(rows))

    def _store_in_sink(self, rows: list[PredictionRecord]) -> bool:
        try:
            self._write_to_sink(new_name(), rows, [])
        except ServiceUnavailable as error:
            self._sink_failed(error)
            return False
        return True

    def _store_in_spool(self, rows: list[PredictionRecord]) -> bool:
        try:
            self.spool.append(rows)
        except SpoolFull as error:
            self._spool_problem = str(error)
            return False
        self._count(spooled=len(rows))
        return True

    def _write_to_sink(
        self, name: str, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]
    ) -> WriteResult:
        result = self.sink.write(name, predictions, feedback)
        outcomes = Counter(result.outcomes)
        self._count(
            written=result.new + len(feedback) - outcomes["known"] - outcomes["contradicts"],
            repeated=result.repeated + outcomes["known"],
            contradicting=result.contradicting + outcomes["contradicts"],
        )
        return result

    def _run(self) -> None:
        """Flush the buffer and replay the spool: now, every `flush_seconds`, and once more at the end."""
        while True:
            last = self._stop.is_set()
            self._guard(self._flush)
            self._guard(self._maintain)
            if last:
                return
            self._stop.wait(self.flush_seconds)

    def _run_flush(self) -> None:
        """Flush the buffer every `flush_seconds`; the other thread does it the last time."""
        while not self._stop.wait(self.flush_seconds):
            self._guard(self._flush)

    def _guard(self, task: Callable[[], None]) -> None:
        """Log an unexpected error instead of ending the thread. Rows are spooled until a replay succeeds."""
        try:
            task()
        except Exception as error:  # noqa: BLE001 - any error; nothing would start the thread again
            self._failed_unexpectedly(error)

    def _maintain(self) -> None:
        """Replay the spool if it has rows, check a sink that was down, and report lost rows."""
        try:
            if not self._sink_up or self.spool.bytes():
                self._replay()
        except (ServiceUnavailable, OSError) as error:
            self._sink_failed(error)
        with self._counting:
            lost = self._counts["lost"] - self._reported_lost
            self._reported_lost += lost
        if lost:
            log.error("predictions lost", rows=lost, problem=self._spool_problem)

    def _replay(self) -> None:
        """Write the spool to the sink, oldest rows first; only then do new rows go to the sink directly."""
        self.sink.check()
        if self.sink.immediate:
            while self._replay_segments() >= SMALL_REPLAY:
                self._seal()
            with self._writing:
                self.spool.seal()
                self._replay_segments()
                self._sink_recovered()
        else:  # rows reach this sink through the spool only, so no request has to wait
            self._seal()
            self._replay_segments()
            self._sink_recovered()

    def _seal(self) -> None:
        with self._writing:
            self.spool.seal()

    def _replay_segments(self) -> int:
        """Replay all complete segments; returns their size in bytes."""
        size = 0
        for segment in self.spool.segments():
            size += segment.size
            predictions, feedback = segment.rows()
            self._write_to_sink(segment.name, predictions, feedback)
            segment.remove()
        return size

    def _count(self, **rows: int) -> None:
        with self._counting:
            self._counts.update(rows)

    def _failed_unexpectedly(self, error: Exception) -> None:
        log.error("prediction log failed", **error_fields(error))
        self._sink_up, self._sink_problem = False, f"unexpected error: {type(error).__name__}"

    def _sink_failed(self, error: Exception) -> None:
        if self._sink_up or not self._sink_problem:
            log.error("prediction log sink down", problem=str(error))
        self._sink_up, self._sink_problem = False, str(error)

    def _sink_recovered(self) -> None:
        if self._sink_problem:
            log.info("prediction log sink recovered")
        self._sink_up, self._sink_problem = True, ""
