"""How often a key may ask: a token bucket for each."""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem


class Bucket:
    """Holds up to `burst` tokens, and gets `rate` of them a second."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = float(burst), time.monotonic()

    def take(self) -> float:
        """Take a token. Returns 0, or the seconds until there is one; then none was taken."""
        now = time.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


class RateLimit:
    """Refuses a key that asks too often, before its body is read. Health checks have no key and no limit."""

    def __init__(self, app: ASGIApp, rate: float, burst: int) -> None:
        self.app, self.rate, self.burst = app, rate, burst
        self.buckets: dict[bytes, Bucket] = {}  # by the key's digest, so never more than there are keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope.get("state", {}).get("key")
        if key is None:
            await self.app(scope, receive, send)
            return
        wait = self.buckets.setdefault(key.digest, Bucket(self.rate, self.burst)).take()
        if wait:
            said = f"This key may ask {self.rate:g} times a second. Wait as Retry-After says, or send reviews together."
            await problem(429, said, headers={"Retry-After": str(math.ceil(wait))})(scope, receive, send)
        else:
            await self.app(scope, receive, send)
