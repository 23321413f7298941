"""Group commit on the event loop: requests that wait for the prediction log at the same time share one write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.prediction_log import prediction
from harness.serving import wait_until
from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.records import FeedbackRecord, PredictionRecord
from ratchet.prediction_log.sinks.base import WriteResult
from ratchet.prediction_log.spool import Spool


class SlowSink:
    """A sink whose writes last until the test releases them."""

    immediate = True

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.error: Exception | None = None

    def check(self) -> None:
        """Always responds."""

    def write(self, name: str, predictions: list[PredictionRecord], feedback: list[FeedbackRecord]) -> WriteResult:
        self.writes.append([int(row.prediction_id) for row in predictions])
        self.begun.release()
        self.go_on.acquire()
        if self.error:
            error, self.error = self.error, None
            raise error
        return WriteResult(len(predictions), 0, 0, [])

    def close(self) -> None:
        """Has no connection."""

    async def until_begun(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


@pytest.fixture
def sink() -> SlowSink:
    return SlowSink()


@pytest.fixture
def log(sink: SlowSink, tmp_path: Path) -> Iterator[PredictionLog]:
    """A log in fsync mode that writes to the slow sink."""
    with PredictionLog(sink, Spool(tmp_path / "spool", 1 << 20), flush_seconds=3_600) as log:
        wait_until(lambda: log.state().sink_up)
        yield log


Record = Callable[..., Coroutine[Any, Any, None]]


def recorder(log: PredictionLog) -> Record:
    """Records one row for each number."""
    return lambda *numbers: log.record_async([prediction(str(number)) for number in numbers])


async def _begin(*callers: asyncio.Task[None]) -> None:
    """Let tasks run until they wait."""
    for _ in callers:
        await asyncio.sleep(0)


def test_requests_during_a_write_share_the_next(log: PredictionLog, sink: SlowSink) -> None:
    """The first is written at once; the others wait for it and share a write; none returns before its write has."""

    async def callers(record: Record) -> None:
        first = asyncio.create_task(record(0))
        await sink.until_begun()
        others = [asyncio.create_task(record(number, number)) for number in range(1, 6)]
        await _begin(*others)
        assert sink.writes == [[0]]
        sink.go_on.release()
        await first
        await sink.until_begun()
        assert not any(other.done() for other in others)
        sink.go_on.release()
        await asyncio.gather(*others)

    asyncio.run(callers(recorder(log)))
    assert sink.writes == [[0], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]


def test_an_unexpected_error_reaches_the_callers_of_its_write_only(log: PredictionLog, sink: SlowSink) -> None:
    """A write that fails raises in its callers; the rows of the next callers are written."""

    async def callers(record: Record) -> None:
        sink.error = RuntimeError("a bug of ours")
        failing = asyncio.create_task(record(0))
        await sink.until_begun()
        behind = asyncio.create_task(record(1))
        await _begin(behind)
        sink.go_on.release()
        with pytest.raises(RuntimeError, match="a bug of ours"):
            await failing
        sink.go_on.release()
        await behind

    asyncio.run(callers(recorder(log)))
    assert sink.writes == [[0], [1]]


def test_a_cancelled_caller_does_not_cancel_the_write(log: PredictionLog, sink: SlowSink) -> None:
    """Of two callers that share a write, one is cancelled; the rows of both are written."""

    async def callers(record: Record) -> None:
        first = asyncio.create_task(record(0))
        await sink.until_begun()
        cancelled, stays = (asyncio.create_task(record(number)) for number in (1, 2))
        await _begin(cancelled, stays)
        cancelled.cancel()
        sink.go_on.release()
        sink.go_on.release()
        await asyncio.gather(first, stays)

    asyncio.run(callers(recorder(log)))
    assert sink.writes == [[0], [1, 2]]


def test_threads_and_the_event_loop_share_a_write(log: PredictionLog, sink: SlowSink) -> None:
    """Rows of shadow mode, which come from a thread, go into the same transaction as those of requests."""

    async def callers(record: Record) -> None:
        first = asyncio.create_task(record(0))
        await sink.until_begun()
        request = asyncio.create_task(record(1))
        await _begin(request)
        shadow = asyncio.create_task(asyncio.to_thread(log.record, [prediction("2")]))
        while len(log._group.rows) < 2:
            await asyncio.sleep(0.001)
        sink.go_on.release()
        sink.go_on.release()
        await asyncio.gather(first, request, shadow)

    asyncio.run(callers(recorder(log)))
    assert sink.writes == [[0], [1, 2]]
