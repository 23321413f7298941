"""The load generator counts every request and hides no stall; the benchmark computes recovery correctly."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest

from bench.load import Array, Load, Plan
from bench.serving import Responses, recovery

ANSWER = b"HTTP/1.1 %d Fine\r\nContent-Length: 2\r\n\r\n{}"


async def loaded(plan: Plan, statuses: list[int], stall: float = 0.0) -> tuple[Array, list[bytes]]:
    """The result for a server that returns these statuses in turn (0: it closes the connection), the first one late."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2])))
            if len(seen) == 1:
                await asyncio.sleep(stall)
            status = statuses[(len(seen) - 1) % len(statuses)]
            if not status:
                break
            writer.write(ANSWER % status)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rows = await Load(Plan(**{**plan.__dict__, "port": port})).run()
        server.close()
    return rows, seen


def plan(rate: float, connections: int) -> Plan:
    return Plan(0, "POST / HTTP/1.1\r\nHost: me\r\n", ["first", "second one"], [(0.5, rate)], connections)


def test_every_request_that_was_due_has_a_row() -> None:
    """Answered, refused or failed, in the order in which they were due."""
    rows, seen = asyncio.run(loaded(plan(200, 3), [200, 200, 503, 0]))
    assert len(rows) == len(plan(200, 3).moments()) == len(seen)
    assert (np.diff(rows[:, 0]) > 0).all()
    assert set(seen) == {b"first", b"second one"}
    share = len(rows) / 4
    assert {status: pytest.approx(share, abs=1) for status in (0, 503)}.items() <= Counter(rows[:, 2].tolist()).items()


def test_a_stall_counts_for_all_requests_due_in_it() -> None:
    """The first response takes longer than the whole load: all later requests have waited, too."""
    rows, _ = asyncio.run(loaded(plan(100, 1), [200], stall=0.6))
    waited = rows[:, 0] + rows[:, 1]
    assert (waited >= 0.6).all()


def test_a_closed_loop_sends_as_fast_as_it_is_answered() -> None:
    """Without a rate, each of two connections sends the next request when it is answered.

    A request that is in flight when the time is over has reached the server, and has no row.
    """
    rows, seen = asyncio.run(loaded(plan(0, 2), [200]))
    assert len(rows) > 2
    assert 0 <= len(seen) - len(rows) <= 2
    assert set(rows[:, 2]) == {200}


def test_recovery_ends_with_the_last_second_that_was_not_calm() -> None:
    """Refused in the first second after the overload, slow in the third: recovery takes three seconds."""
    due = np.arange(0, 20, 0.01)
    latency, status = np.full(len(due), 0.004), np.full(len(due), 200.0)
    status[(due >= 10) & (due < 10.5)] = 503
    latency[(due >= 12) & (due < 13)] = 0.05
    seen = Responses(np.column_stack([due, latency, status]))
    assert recovery(seen, 10, 20, calm=4) == 3
    assert recovery(seen, 14, 20, calm=4) == 0
