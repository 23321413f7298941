"""Limits of a request's body: not compressed, at most 1 MiB, received in time, and read before it is processed."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.serving.api.errors import problem_response

MAX_BODY = 1 << 20
MAX_DRAINED = 4 * MAX_BODY
"""A body that is too long is read and dropped up to this size, because most clients read no response before they have
sent their body. Beyond it the connection is closed."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSE = {"Connection": "close"}


class BodyLimit:
    """Refuses long bodies, slow bodies, and compressed ones, which rules out decompression bombs."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app once its body is complete."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await _read(Headers(scope=scope), receive)
        except TimeoutError:
            detail = f"The body did not arrive within {self.seconds:g} s. Send it without pauses."
            body = problem_response(408, detail, headers=CLOSE)
        if isinstance(body, Response):
            await body(scope, receive, send)
        elif body is not None:
            await self.app(scope, _replay(body, receive), send)


async def _read(headers: Headers, receive: Receive) -> bytes | Response | None:
    """The body, or the response that refuses it, or None if the caller closed the connection."""
    if any(coding.strip().lower() != "identity" for coding in headers.getlist("content-encoding")):
        detail = "Compressed bodies are not accepted. Send the body without Content-Encoding."
        return problem_response(415, detail, headers={"Accept-Encoding": "identity"})
    too_long = f"A body has at most {MAX_BODY:,} bytes. Send fewer reviews at once."
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_DRAINED:
        return problem_response(413, too_long, headers=CLOSE)
    body, size, more = bytearray(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        if size > MAX_DRAINED:
            return problem_response(413, too_long, headers=CLOSE)
        if size <= MAX_BODY:
            body += message.get("body", b"")
    return bytes(body) if size <= MAX_BODY else problem_response(413, too_long)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A channel for the app that delivers the body that was read, then all later messages."""
    unread = True

    async def receive_replayed() -> Message:
        nonlocal unread
        if not unread:
            return await receive()
        unread = False
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_replayed
