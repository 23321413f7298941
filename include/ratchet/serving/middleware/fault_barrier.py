"""Turns unexpected errors into a 500 problem and one log event that quotes no request."""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.logs import error_fields
from ratchet.serving.api.errors import problem_response

log = structlog.get_logger()


class FaultBarrier:
    """Answers unexpected errors. The log has their kind and stack, but no message, which may quote a review."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app, and answer 500 if it raises."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_start)
        except Exception as error:  # noqa: BLE001 - any error; the server would log its message, which may quote text
            _log_failure(error)
            if started:
                raise ConnectionAbortedError("the response had begun") from None  # the server closes the connection
            detail = "The service failed unexpectedly. Try again; if the error persists, its log has the details."
            await problem_response(500, detail)(scope, receive, send)


def _log_failure(error: Exception) -> None:
    log.error("request failed", **error_fields(error))
