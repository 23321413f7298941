"""Lambda's runtime API as AWS documents it: a function's container polls it for events and sends it the responses.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:ratchet"
ROOT = "/2018-06-01/runtime"


class RuntimeApi:
    """Delivers one event after the other, and collects the responses."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.responses: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def invoke(self, event: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """The function's response to an event. Fails if it reports an error or does not respond."""
        self.events.put(event)
        kind, response = self.responses.get(timeout=seconds)
        assert kind == "response", response
        return response


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: RuntimeApi

    def do_GET(self) -> None:
        assert self.path == f"{ROOT}/invocation/next"
        event = json.dumps(self.api.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid4()))
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 30_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.api.responses.put((self.path.rpartition("/")[2], json.loads(body)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Writes no log."""


@contextmanager
def running() -> Iterator[tuple[str, RuntimeApi]]:
    """Yields its address for AWS_LAMBDA_RUNTIME_API, and the API."""
    api = RuntimeApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Requests", (_Requests,), {"api": api}))
    server.daemon_threads = True  # one of them waits for a further event
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
