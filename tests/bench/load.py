"""A load generator in a process of its own: `python -m bench.load PLAN.json OUT.npy`, for servers on this machine.

With a rate, requests are due at random moments (a Poisson process), whether or not earlier ones were answered, and
their latency counts from when they were due; so a server that stalls cannot hide it. Without one, each connection
sends the next request as soon as it is answered.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

Array = np.ndarray[Any, Any]

GRACE_SECONDS = 10.0
"""Seconds after the end for unanswered requests; then they count as failed, with status 0."""


@dataclass(frozen=True)
class Plan:
    """Server, requests and rates. `phases` are pairs of seconds and requests a second; rate 0 is a closed loop."""

    port: int
    head: str  # request line and headers, without Content-Length
    bodies: Sequence[str]
    phases: Sequence[tuple[float, float]]
    connections: int
    seed: int = 0

    def moments(self) -> Array:
        """The times at which requests are due, in seconds since the beginning."""
        random, begin, found = np.random.default_rng(self.seed), 0.0, []
        for seconds, rate in self.phases:
            gaps = random.exponential(1 / rate, int(seconds * rate * 1.5) + 50)
            due = np.cumsum(gaps)
            found.append(begin + due[due < seconds])
            begin += seconds
        return np.concatenate(found)

    def requests(self) -> list[bytes]:
        encoded = [body.encode() for body in self.bodies]
        return [f"{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in encoded]


class Connection(asyncio.Protocol):
    """One request at a time; `idle` is called when another may be sent."""

    def __init__(self, load: Load) -> None:
        self.load, self.seen = load, bytearray()
        self.transport: asyncio.Transport
        self.current: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.load.idle(self)

    def send(self, number: int) -> None:
        self.current = number
        self.transport.write(self.load.request(number))

    def data_received(self, data: bytes) -> None:
        self.seen += data
        end = self.seen.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.seen[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self.seen) < end + 4 + length:
            return
        self.seen.clear()
        number, self.current = self.current, None
        assert number is not None, "a response without a request"
        self.load.answered(number, int(head[9:12]))
        self.load.idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.current is not None:
            self.load.answered(self.current, 0)
        self.load.lost()


class Load:
    """A run of a plan. Its result has a row of due time, latency (both in seconds) and status for each request."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.bodies = plan, plan.requests()
        self.open = plan.phases[0][1] > 0
        self.due: list[float] = plan.moments().tolist() if self.open else []
        self.rows = np.full((len(self.due), 3), np.nan)
        self.free: deque[Connection] = deque()
        self.waiting: deque[int] = deque()
        self.closed_rows: list[tuple[float, float, int]] = []
        self.loop = asyncio.get_running_loop()
        self.begin, self.end, self.left = 0.0, float("inf"), len(self.due)
        self.reopening: set[asyncio.Task[None]] = set()
        self.stopped = False
        self.loop.add_signal_handler(signal.SIGTERM, self.stop)

    def stop(self) -> None:
        """Send no more requests; those sent are still waited for."""
        self.stopped = True

    def request(self, number: int) -> bytes:
        return self.bodies[number % len(self.bodies)]

    def idle(self, connection: Connection) -> None:
        if self.open:
            if self.waiting:
                connection.send(self.waiting.popleft())
            else:
                self.free.append(connection)
        elif self.begin and self.loop.time() < self.end:
            self.due.append(self.loop.time() - self.begin)
            connection.send(len(self.due) - 1)
        else:
            self.free.append(connection)

    def answered(self, number: int, status: int) -> None:
        row = (self.due[number], self.loop.time() - self.begin - self.due[number], status)
        if self.open:
            self.rows[number] = row
            self.left -= 1
        else:
            self.closed_rows.append(row)

    def lost(self) -> None:
        """A server may close a connection; its next request goes over a new one."""
        task = self.loop.create_task(self.connect())
        self.reopening.add(task)
        task.add_done_callback(self.reopening.discard)

    async def connect(self) -> None:
        await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.plan.port)

    async def run(self) -> Array:
        for _ in range(self.plan.connections):
            await self.connect()
        self.begin = self.loop.time()
        self.end = self.begin + sum(seconds for seconds, _ in self.plan.phases)
        if not self.open:
            for connection in list(self.free):
                self.idle(connection)
            await asyncio.sleep(self.end - self.loop.time() + 0.5)
            return np.array(self.closed_rows)
        for number, due in enumerate(self.due):
            if self.stopped:
                self.left -= len(self.due) - number
                self.due, self.rows = self.due[:number], self.rows[:number]
                break
            if (ahead := self.begin + due - self.loop.time()) > 0:
                await asyncio.sleep(ahead)
            elif number % 64 == 0:
                await asyncio.sleep(0)  # while late, answers are still read
            if self.free:
                self.free.popleft().send(number)
            else:
                self.waiting.append(number)
        deadline = self.loop.time() + GRACE_SECONDS
        while self.left and self.loop.time() < deadline:
            await asyncio.sleep(0.05)
        unanswered = np.isnan(self.rows[:, 2])
        self.rows[unanswered] = np.column_stack(
            [np.array(self.due)[unanswered], np.full(unanswered.sum(), GRACE_SECONDS), np.zeros(unanswered.sum())]
        )
        return self.rows


def save(plan: Plan, path: Path) -> None:
    path.write_text(json.dumps(asdict(plan)))


async def main(plan: Path, out: Path) -> None:
    np.save(out, await Load(Plan(**json.loads(plan.read_text()))).run())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
