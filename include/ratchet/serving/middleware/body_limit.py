"""What a body may be: plain, at most 1 MiB, and here in time. It is read as a whole before anything works on it."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.serving.api.errors import problem

MAX_BODY = 1 << 20
DRAINED = 4 * MAX_BODY
"""So much of a body that is too long is read and dropped, because most clients read no answer before they sent all of
it. Whoever sends more is cut off."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSE = {"Connection": "close"}


class BodyLimit:
    """Refuses compressed bodies, so that a bomb has nothing to go off in, long ones, and slow ones."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                found = await _read(Headers(scope=scope), receive)
        except TimeoutError:
            said = f"The body was not here within {self.seconds:g} s. Send it in one go."
            found = problem(408, said, headers=CLOSE)
        if isinstance(found, Response):
            await found(scope, receive, send)
        elif found is not None:
            await self.app(scope, _again(found, receive), send)


async def _read(headers: Headers, receive: Receive) -> bytes | Response | None:
    """The body, or the answer that refuses it, or None if the caller hung up."""
    if any(coding.strip().lower() != "identity" for coding in headers.getlist("content-encoding")):
        said = "Bodies are read as they are. Send it without Content-Encoding."
        return problem(415, said, headers={"Accept-Encoding": "identity"})
    said = f"A body has at most {MAX_BODY:,} bytes. Send fewer reviews at once."
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > DRAINED:
        return problem(413, said, headers=CLOSE)
    body, size, more = bytearray(), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        if size > DRAINED:
            return problem(413, said, headers=CLOSE)
        if size <= MAX_BODY:
            body += message.get("body", b"")
    return bytes(body) if size <= MAX_BODY else problem(413, said)


def _again(body: bytes, receive: Receive) -> Receive:
    """What the app receives: the body that was read, then whatever comes after it."""
    unread = True

    async def receive_again() -> Message:
        nonlocal unread
        if not unread:
            return await receive()
        unread = False
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
