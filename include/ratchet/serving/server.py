"""The app as a process: one worker, structured logs, and an end that drops no request."""

from __future__ import annotations

import socket
import time
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from ratchet.serving.app import create_app
from ratchet.serving.settings import ServingSettings

log = structlog.get_logger()

FINISH_SECONDS = 7
"""For requests in flight: within the 30 s that ECS gives with the longest drain, and the ends of shadow, both followers
and prediction log, which come one after the other."""


def serve(settings: ServingSettings, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C, then finish what was begun."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    Server(config, app, settings.serving_drain_seconds).run()


class Server(uvicorn.Server):
    """Uvicorn, but a first signal only says `not ready`; the door closes when load balancers have noticed."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self.app, self.drain_seconds, self.closes_at = app, drain_seconds, float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and say which one: port 0 asks for any that is free."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        log.info("listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on SIGTERM and SIGINT. The signal is not raised again at the end, so the process exits with 0."""
        log.info("stopping", signal=sig)
        held = self.app.state.resources
        first, held.stopping = not held.stopping, True
        self.closes_at = time.monotonic() + (self.drain_seconds if first else 0)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to stop taking requests."""
        return await super().on_tick(counter) or time.monotonic() >= self.closes_at
