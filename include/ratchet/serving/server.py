"""Runs the app as a process: one worker, structured logs, and a shutdown that drops no request."""

from __future__ import annotations

import socket
import time
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from ratchet.serving.app import create_app
from ratchet.serving.http_protocol import IgnoringUpgrades
from ratchet.serving.settings import ServingSettings

log = structlog.get_logger()

FINISH_SECONDS = 7
"""The time for requests in flight, in seconds. With the longest drain and the time to stop shadow mode, both
followers and the prediction log, one after the other, it is within the 30 s that ECS grants."""


def serve(settings: ServingSettings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests in flight."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=IgnoringUpgrades,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        timeout_keep_alive=settings.serving_keep_alive_seconds,
    )
    Server(config, app, settings.serving_drain_seconds).run()


class Server(uvicorn.Server):
    """Uvicorn's server, except that the first signal only makes the app not ready.

    It stops accepting requests `drain_seconds` later, when load balancers have noticed.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self.app, self.drain_seconds, self.stops_at = app, drain_seconds, float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and log the address: port 0 means any free port."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        log.info("listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on SIGTERM and SIGINT. The signal is not raised again at the end, so that the process exits with 0."""
        del frame
        log.info("stopping", signal=sig)
        resources = self.app.state.resources
        first, resources.stopping = not resources.stopping, True
        self.stops_at = time.monotonic() + (self.drain_seconds if first else 0)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; returns whether to stop accepting requests."""
        return await super().on_tick(counter) or time.monotonic() >= self.stops_at
