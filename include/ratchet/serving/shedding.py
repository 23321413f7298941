"""What is refused under overload, so that the rest is answered as fast as ever: 503, and come back in a second."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.bodies import WITHOUT_BODY
from ratchet.serving.metrics import Metrics
from ratchet.serving.problems import problem

RETRY_AFTER = {"Retry-After": "1"}  # seconds; what piled up is gone long before
IMPATIENT = 20
"""While a queue stands, patience is so many times smaller."""


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
    """Works on so many requests at once; the others wait in line, but not for long.

    Nobody waits longer than `seconds`. A line that did not empty for as long is no burst but overload, and then nobody
    waits longer than a twentieth of it: "controlled delay", from B. Maurer, Fail at Scale, ACM Queue 13(8), 2015.
    """

    def __init__(self, app: ASGIApp, concurrency: int, seconds: float, metrics: Metrics) -> None:
        self.app, self.seconds, self.metrics = app, seconds, metrics
        self.places = asyncio.Semaphore(concurrency)
        self.free_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._patience()):
                await self.places.acquire()
        except TimeoutError:
            self.metrics.shed("waited")
            await _shed(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.places.release()

    def _patience(self) -> float:
        now = time.monotonic()
        if not self.places.locked():
            self.free_at = now
        return self.seconds if now - self.free_at <= self.seconds else self.seconds / IMPATIENT
