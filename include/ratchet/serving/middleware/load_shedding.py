"""What is refused under overload, so that the rest is answered as fast as ever: 503, and come back in a second."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem
from ratchet.serving.metrics import Metrics
from ratchet.serving.middleware.body_limit import WITHOUT_BODY

RETRY_AFTER = {"Retry-After": "1"}  # seconds; what piled up is gone long before


async def _shed(scope: Scope, receive: Receive, send: Send) -> None:
    said = "More is asked here than can be answered in time. Wait as Retry-After says, then try again."
    await problem(503, said, headers=RETRY_AFTER)(scope, receive, send)


class Door:
    """Lets so many requests in at once, those included whose body still arrives: it bounds the memory of bodies."""

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self.app, self.most, self.metrics, self.inside = app, most, metrics, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
        elif self.inside >= self.most:
            self.metrics.shed("full")
            await _shed(scope, receive, send)
        else:
            self.inside += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.inside -= 1


class Queue:
    """Works on so many requests at once; others wait in line, but nobody longer than `seconds`.

    A line that did not empty for as long is no burst but overload. Then it takes in only as many as are worked on, so
    that they wait about as long as they are worked on, and the rest is refused at once. The idea, a limit that depends
    on how long a queue has stood, is "controlled delay" of B. Maurer, Fail at Scale, ACM Queue 13(8), 2015. The limit
    there is a shorter time; here the loop that keeps the time is late itself under overload, and would refuse them all.
    """

    def __init__(self, app: ASGIApp, concurrency: int, seconds: float, metrics: Metrics) -> None:
        self.app, self.concurrency, self.seconds, self.metrics = app, concurrency, seconds, metrics
        self.places, self.line = asyncio.Semaphore(concurrency), 0
        self.empty_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
        elif self._stands() and self.line >= self.concurrency:
            self.metrics.shed("queue")
            await _shed(scope, receive, send)
        elif not await self._waited():
            self.metrics.shed("waited")
            await _shed(scope, receive, send)
        else:
            try:
                await self.app(scope, receive, send)
            finally:
                self.places.release()

    def _stands(self) -> bool:
        """Whether no place was free for longer than anybody may wait, as far as those who came have seen."""
        now = time.monotonic()
        if not self.places.locked():
            self.empty_at = now
        return now - self.empty_at > self.seconds

    async def _waited(self) -> bool:
        """Take a place. Returns False if there was none in time."""
        if not self.places.locked():
            return await self.places.acquire()  # at once
        self.line += 1
        try:
            async with asyncio.timeout(self.seconds):
                return await self.places.acquire()
        except TimeoutError:
            return False
        finally:
            self.line -= 1
