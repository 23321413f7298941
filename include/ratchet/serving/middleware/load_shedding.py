"""Load shedding: under overload some requests get 503 at once, so that the others are answered as fast as before."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem_response
from ratchet.serving.metrics import Metrics
from ratchet.serving.middleware.body_limit import WITHOUT_BODY

RETRY_AFTER = {"Retry-After": "1"}  # seconds; a queue is shorter than that


async def _shed(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "The service is overloaded. Wait as many seconds as Retry-After gives, then try again."
    await problem_response(503, detail, headers=RETRY_AFTER)(scope, receive, send)


class ConcurrencyLimit:
    """Admits at most `limit` requests with a body at once, also while bodies arrive: it bounds their memory."""

    def __init__(self, app: ASGIApp, limit: int, metrics: Metrics) -> None:
        self.app, self.limit, self.metrics, self.active = app, limit, metrics, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app if it is within the limit."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
        elif self.active >= self.limit:
            self.metrics.count_shed("full")
            await _shed(scope, receive, send)
        else:
            self.active += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.active -= 1


class AdmissionQueue:
    """Processes at most `concurrency` requests with a body at once; others wait in a queue for at most `seconds`.

    A queue that has not been empty for as long is no burst but overload. Then its length is limited to `concurrency`,
    so that a request waits about as long as it is processed, and all others are refused at once. A limit that depends
    on how long a queue has stood is the "controlled delay" of B. Maurer, Fail at Scale, ACM Queue 13(8), 2015. There
    the time limit becomes shorter instead; here the event loop that measures it is late itself under overload, so that
    nearly all requests would be refused.
    """

    def __init__(self, app: ASGIApp, concurrency: int, seconds: float, metrics: Metrics) -> None:
        self.app, self.concurrency, self.seconds, self.metrics = app, concurrency, seconds, metrics
        self.slots, self.waiting = asyncio.Semaphore(concurrency), 0
        self.empty_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app once it has a slot."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
        elif self._is_overloaded() and self.waiting >= self.concurrency:
            self.metrics.count_shed("queue")
            await _shed(scope, receive, send)
        elif not await self._acquire():
            self.metrics.count_shed("waited")
            await _shed(scope, receive, send)
        else:
            try:
                await self.app(scope, receive, send)
            finally:
                self.slots.release()

    def _is_overloaded(self) -> bool:
        """Whether no request has found a free slot for longer than the time limit."""
        now = time.monotonic()
        if not self.slots.locked():
            self.empty_at = now
        return now - self.empty_at > self.seconds

    async def _acquire(self) -> bool:
        """Take a slot. Returns False if there was none in time."""
        if not self.slots.locked():
            return await self.slots.acquire()  # returns at once
        self.waiting += 1
        try:
            async with asyncio.timeout(self.seconds):
                return await self.slots.acquire()
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
