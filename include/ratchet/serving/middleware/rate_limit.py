"""The rate limit: one token bucket for each API key."""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem_response


class TokenBucket:
    """Holds at most `burst` tokens and gains `rate` tokens per second."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = float(burst), time.monotonic()

    def take(self) -> float:
        """Take a token and return 0. Without a token, return the seconds until there is one."""
        now = time.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


class RateLimit:
    """Refuses keys over their rate before the body is read. Health checks have no key and no limit."""

    def __init__(self, app: ASGIApp, rate: float, burst: int) -> None:
        self.app, self.rate, self.burst = app, rate, burst
        self.buckets: dict[bytes, TokenBucket] = {}  # by the key's digest, so never more than there are keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app if its key has a token."""
        key = scope.get("state", {}).get("key")
        if key is None:
            await self.app(scope, receive, send)
            return
        wait = self.buckets.setdefault(key.digest, TokenBucket(self.rate, self.burst)).take()
        if wait:
            detail = (
                f"This key may send {self.rate:g} requests a second. Wait as many seconds as Retry-After gives, or "
                "send more reviews in one request."
            )
            await problem_response(429, detail, headers={"Retry-After": str(math.ceil(wait))})(scope, receive, send)
        else:
            await self.app(scope, receive, send)
