"""Who waits for the prediction log together is written together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from ratchet.serving.inference.write_batcher import GroupCommit


class SlowLog:
    """A log whose writes take until they are let go on."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.fault: Exception | None = None

    def record(self, rows: Sequence[int]) -> None:
        self.writes.append(list(rows))
        self.begun.release()
        self.go_on.acquire()
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault

    async def until_begun(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


@pytest.fixture
def log() -> SlowLog:
    return SlowLog()


async def _begin(*callers: asyncio.Task[None]) -> None:
    """Let tasks run until they wait."""
    for _ in callers:
        await asyncio.sleep(0)


def test_who_comes_during_a_write_shares_the_next(log: SlowLog) -> None:
    """The first goes at once; the others wait for it and go together; nobody returns before his write has."""

    async def callers() -> None:
        commit = GroupCommit(log)
        first = asyncio.create_task(commit.record([0]))
        await log.until_begun()
        others = [asyncio.create_task(commit.record([number, number])) for number in range(1, 6)]
        await _begin(*others)
        assert log.writes == [[0]]
        log.go_on.release()
        await first
        await log.until_begun()
        assert not any(other.done() for other in others)
        log.go_on.release()
        await asyncio.gather(*others)

    asyncio.run(callers())
    assert log.writes == [[0], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]


def test_a_fault_reaches_those_it_hit_and_nobody_else(log: SlowLog) -> None:
    """A write that fails is told to its callers; those behind them are written."""

    async def callers() -> None:
        commit, log.fault = GroupCommit(log), RuntimeError("a fault of ours")
        hit = asyncio.create_task(commit.record([0]))
        await log.until_begun()
        behind = asyncio.create_task(commit.record([1]))
        await _begin(behind)
        log.go_on.release()
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await hit
        log.go_on.release()
        await behind

    asyncio.run(callers())
    assert log.writes == [[0], [1]]


def test_who_is_cancelled_takes_nobodys_rows_along(log: SlowLog) -> None:
    """Of two that share a write, one is cancelled; the other's rows, and his own, are written."""

    async def callers() -> None:
        commit = GroupCommit(log)
        first = asyncio.create_task(commit.record([0]))
        await log.until_begun()
        cancelled, stays = (asyncio.create_task(commit.record([number])) for number in (1, 2))
        await _begin(cancelled, stays)
        cancelled.cancel()
        log.go_on.release()
        log.go_on.release()
        await asyncio.gather(first, stays)

    asyncio.run(callers())
    assert log.writes == [[0], [1, 2]]
