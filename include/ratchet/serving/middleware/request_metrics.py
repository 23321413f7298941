"""Counts all requests with their status and latency."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.serving.metrics import Metrics

CLIENT_CLOSED_REQUEST = 499  # nginx's status for a caller that closed the connection before a response began


class RequestMetrics:
    """Counts every response, refusals included.

    Unknown paths share one label, because callers could create any number of series otherwise.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app, and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), CLIENT_CLOSED_REQUEST

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_status)
        finally:
            known = any(route.path == scope["path"] for route in scope["app"].routes)
            route = scope["path"] if known else "other"
            self.metrics.observe_request(route, status, time.perf_counter() - begun)
