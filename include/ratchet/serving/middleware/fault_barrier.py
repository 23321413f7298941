"""The last boundary: a fault of ours is one 500 in the one shape, and one event in the log that quotes no caller."""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.logs import fault
from ratchet.serving.api.errors import problem

log = structlog.get_logger()


class FaultBarrier:
    """Answers whatever was not foreseen. The log has the kind and the stack, but not the message: it may quote text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server would log its message, and so maybe text
            log.error("request failed", **fault(error))
            if started:
                raise ConnectionAbortedError("the answer had begun") from None  # the server closes the connection
            said = "This is a fault of the service. Try again; if it stays, its log says more."
            await problem(500, said)(scope, receive, send)
