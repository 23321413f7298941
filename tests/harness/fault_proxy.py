"""A reverse proxy in front of an AWS endpoint that injects faults, at random or on request, and counts them.

It adds what the emulator lacks: RunTask with a known `clientToken` returns the first task, as on ECS.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import socket
import struct
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from harness.fault_kinds import (
    ANY_OPERATION,
    BY_OPERATION,
    SLOW_SECONDS,
    STOP_DETAILS,
    ApiCall,
    FaultKind,
    Response,
    conflict_response,
    fault_response,
    with_stop_details,
)

BLOCK = 1 << 16
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "trailer", "upgrade"}


@dataclass
class Faults:
    """Selects requests for faults: first those that a test requested, then a fraction `rate` of all others, at random.

    `injected` counts the faults by operation and kind, `requests` all requests by operation.
    """

    rate: float = 0.0
    seed: int = 0
    kinds: tuple[FaultKind, ...] = ANY_OPERATION
    services: frozenset[str] = frozenset({"ecs", "logs", "s3"})
    honours_tokens: bool = True
    requests: Counter[str] = field(default_factory=Counter)
    injected: Counter[tuple[str, FaultKind]] = field(default_factory=Counter)
    launch_requests: list[dict[str, Any]] = field(default_factory=list)
    """The parameters of every RunTask request, granted or not."""

    def __post_init__(self) -> None:
        self._queued: defaultdict[str, deque[FaultKind]] = defaultdict(deque)
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()

    def reset(self, **settings: Any) -> None:
        """Start again with these settings; without any, there are no faults."""
        vars(self).update(vars(Faults(**settings)))

    def inject(self, operation: str, *kinds: FaultKind) -> None:
        """Inject these faults into the next requests for `operation`, one each."""
        self._queued[operation].extend(kinds)

    def next_fault(self, call: ApiCall) -> FaultKind | None:
        """The fault for this request, or None; counts both."""
        with self._lock:
            self.requests[call.operation] += 1
            kind = self._queued[call.operation].popleft() if self._queued[call.operation] else self._at_random(call)
            if kind:
                self.injected[call.operation, kind] += 1
            return kind

    def _at_random(self, call: ApiCall) -> FaultKind | None:
        if call.service not in self.services or self._random.random() >= self.rate:
            return None
        return self._random.choice((*self.kinds, *BY_OPERATION.get(call.operation, ())))


class Proxy(ThreadingHTTPServer):
    """Listens on a free port of one interface, by default the loopback interface."""

    daemon_threads = True
    request_queue_size = 128
    handler: type[Handler]

    def __init__(self, upstream: str, faults: Faults, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), self.handler)
        self.host = host
        self.upstream, self.faults = urlsplit(upstream).netloc, faults
        self.tokens: dict[str, tuple[dict[str, Any], Response]] = {}
        self.task_faults: dict[str, FaultKind] = {}
        self.launching = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect: tests kill some of them."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive; the base class answers `Expect: 100-continue`."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        body = self._body()
        call = api_call(self.command, self.headers, body)
        kind = self.server.faults.next_fault(call)
        if call.operation == "RunTask":
            self.server.faults.launch_requests.append(json.loads(body))
        if kind is FaultKind.RESPONSE_LATE:
            time.sleep(SLOW_SECONDS)
        if kind is FaultKind.RESET:
            self._reset()
        elif kind and (response := fault_response(kind, call)):
            self._send(response)
        elif call.operation == "RunTask":
            self._finish(kind, self._run_task(kind, body))
        elif call.operation == "DescribeTasks":
            self._finish(kind, with_stop_details(self._fetch(body), self.server.task_faults))
        else:
            self._forward(kind, body)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _run_task(self, kind: FaultKind | None, body: bytes) -> Response:
        """Launch a task. For a known token, return the first response again or a conflict, and launch nothing."""
        parameters = json.loads(body)
        token = f"{parameters.get('cluster')}/{parameters.get('clientToken')}"
        with self.server.launching:
            if token in self.server.tokens and self.server.faults.honours_tokens:
                first, response = self.server.tokens[token]
                same = first == parameters
                return (
                    response
                    if same
                    else conflict_response([task["taskArn"] for task in json.loads(response.body)["tasks"]])
                )
            response = self._fetch(body)
            for task in json.loads(response.body).get("tasks", []):
                self.server.tokens[token] = (parameters, response)
                if kind in STOP_DETAILS:
                    self.server.task_faults[task["taskArn"]] = kind
                    self._stop(task)
        return response

    def _stop(self, task: dict[str, Any]) -> None:
        self.headers.replace_header("X-Amz-Target", self.headers["X-Amz-Target"].replace("RunTask", "StopTask"))
        self._fetch(json.dumps({"cluster": task["clusterArn"], "task": task["taskArn"]}).encode())

    def _finish(self, kind: FaultKind | None, response: Response) -> None:
        if kind in {FaultKind.RESPONSE_LOST, FaultKind.RESPONSE_TRUNCATED}:
            self._reset()
        else:
            self._send(response)

    def _fetch(self, body: bytes) -> Response:
        with closing(self._request_upstream(body)) as upstream:
            response = upstream.getresponse()
            return Response(response.status, response.read(), response.headers["Content-Type"])

    def _forward(self, kind: FaultKind | None, body: bytes) -> None:
        """Send the upstream response on, block by block, up to its length or to the end of the connection."""
        with closing(self._request_upstream(body)) as upstream:
            response = upstream.getresponse()
            if kind is FaultKind.RESPONSE_LOST or (
                kind is FaultKind.RESPONSE_TRUNCATED and self.command == "HEAD"
            ):  # without a body there is nothing to truncate
                response.read()
                self._reset()
                return
            length = response.headers["Content-Length"]
            self.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if length is None:
                self.send_header("Connection", "close")
            self.end_headers()
            left = int(length or 0) // 2 if kind is FaultKind.RESPONSE_TRUNCATED else None
            while left != 0 and (block := response.read(BLOCK if left is None else min(BLOCK, left))):
                self.wfile.write(block)
                left = None if left is None else left - len(block)
            if kind is FaultKind.RESPONSE_TRUNCATED:
                self._reset()

    def _request_upstream(self, body: bytes) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {*HOP_BY_HOP, "content-length"}:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection

    def _body(self) -> bytes:
        """The whole body of the request. `aws-chunked` is a content encoding and is sent on unchanged."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(blocks)

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _reset(self) -> None:
        """End the connection with RST instead of FIN, which SO_LINGER with 0 seconds does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, *_: object) -> None:
        """Log nothing; the counters are enough."""


Proxy.handler = Handler


def api_call(verb: str, headers: Any, body: bytes) -> ApiCall:
    """The service and operation of a request, by its signature and by its target header, form or verb."""
    signed = SIGNED_FOR.search(headers.get("Authorization", ""))
    service = signed[1] if signed else "unsigned"
    if target := headers.get("X-Amz-Target"):
        return ApiCall(service, target.rpartition(".")[2], is_json=True)
    action = re.search(rb"(?:^|&)Action=(\w+)", body[:1000]) if service != "s3" else None
    return ApiCall(service, action[1].decode() if action else verb, is_json=False)


@contextmanager
def running(upstream: str, faults: Faults) -> Iterator[str]:
    """Serve on a thread; yields the URL to use instead of `upstream`, which may start later."""
    with Proxy(upstream, faults) as proxy, serving(proxy):
        yield proxy.url


@contextmanager
def serving(proxy: Proxy) -> Iterator[None]:
    """Handle requests on a thread while the block runs."""
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        proxy.shutdown()
        thread.join()
