"""Who may ask: every path needs an API key, but the two that health checks look at."""

from __future__ import annotations

import hmac
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.problems import problem

OPEN = frozenset({"/health", "/ready"})


class KeyGuard:
    """Stands before the app as plain ASGI, so that nobody without a key has a byte of the body read.

    Keys are compared by their SHA-256, which is enough for random ones; each with all, so that time tells nothing.
    """

    def __init__(self, app: ASGIApp, hashes: list[bytes]) -> None:
        self.app, self.hashes = app, hashes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN and not self._knows(Headers(scope=scope)):
            refusal = problem(
                401, "Send an API key as `Authorization: Bearer KEY`.", headers={"WWW-Authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = sha256(key.strip().encode()).digest()
        matches = [hmac.compare_digest(given, each) for each in self.hashes]
        return any(matches) and scheme.lower() == "bearer"
