"""A reverse proxy in front of an AWS endpoint that breaks some requests, by chance or by order, and counts them.

It adds what the emulator lacks: `clientToken` of RunTask means on it what it means on ECS.
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
    ANYWHERE,
    ENDINGS,
    ONLY_FOR,
    SLOW_SECONDS,
    Answer,
    Call,
    Kind,
    changed,
    conflict,
    refusal,
)

BLOCK = 1 << 16
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "trailer", "upgrade"}


@dataclass
class Faults:
    """Which requests break: those that a test has ordered, then `rate` of all others, by dice of this `seed`."""

    rate: float = 0.0
    seed: int = 0
    kinds: tuple[Kind, ...] = ANYWHERE
    services: frozenset[str] = frozenset({"ecs", "logs", "s3"})
    honours_tokens: bool = True
    seen: Counter[str] = field(default_factory=Counter)
    injected: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    launches: list[dict[str, Any]] = field(default_factory=list)
    """The parameters of every RunTask that was sent, granted or not."""

    def __post_init__(self) -> None:
        self._ordered: defaultdict[str, deque[Kind]] = defaultdict(deque)
        self._dice = random.Random(self.seed)
        self._lock = threading.Lock()

    def begin(self, **settings: Any) -> None:
        """Start anew with these settings; without any, nothing goes wrong."""
        vars(self).update(vars(Faults(**settings)))

    def order(self, operation: str, *kinds: Kind) -> None:
        """Break the next requests for `operation`, one after the other."""
        self._ordered[operation].extend(kinds)

    def draw(self, call: Call) -> Kind | None:
        """What shall happen to this request."""
        with self._lock:
            self.seen[call.operation] += 1
            kind = self._ordered[call.operation].popleft() if self._ordered[call.operation] else self._by_chance(call)
            if kind:
                self.injected[call.operation, kind] += 1
            return kind

    def _by_chance(self, call: Call) -> Kind | None:
        if call.service not in self.services or self._dice.random() >= self.rate:
            return None
        return self._dice.choice((*self.kinds, *ONLY_FOR.get(call.operation, ())))


class Proxy(ThreadingHTTPServer):
    """Listens on a free port, of the loopback interface unless told otherwise."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, faults: Faults, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), self.handler)
        self.upstream, self.faults = urlsplit(upstream).netloc, faults
        self.tokens: dict[str, tuple[dict[str, Any], Answer]] = {}
        self.endings: dict[str, Kind] = {}
        self.launching = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news: some are killed on purpose."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive; the base class answers `Expect: 100-continue`."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        body = self._body()
        call = called(self.command, self.headers, body)
        kind = self.server.faults.draw(call)
        if call.operation == "RunTask":
            self.server.faults.launches.append(json.loads(body))
        if kind is Kind.SLOW:
            time.sleep(SLOW_SECONDS)
        if kind is Kind.RESET:
            self._reset()
        elif kind and (said := refusal(kind, call)):
            self._send(said)
        elif call.operation == "RunTask":
            self._finish(kind, self._run_task(kind, body))
        elif call.operation == "DescribeTasks":
            self._finish(kind, changed(self._whole_answer(body), self.server.endings))
        else:
            self._forward(kind, body)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _run_task(self, kind: Kind | None, body: bytes) -> Answer:
        """A token that was granted a task brings the same answer back, or a conflict; it launches nothing any more."""
        parameters = json.loads(body)
        token = f"{parameters.get('cluster')}/{parameters.get('clientToken')}"
        with self.server.launching:
            if token in self.server.tokens and self.server.faults.honours_tokens:
                first, answer = self.server.tokens[token]
                same = first == parameters
                return answer if same else conflict([task["taskArn"] for task in json.loads(answer.body)["tasks"]])
            answer = self._whole_answer(body)
            for task in json.loads(answer.body).get("tasks", []):
                self.server.tokens[token] = (parameters, answer)
                if kind in ENDINGS:
                    self.server.endings[task["taskArn"]] = kind
                    self._stop(task)
        return answer

    def _stop(self, task: dict[str, Any]) -> None:
        self.headers.replace_header("X-Amz-Target", self.headers["X-Amz-Target"].replace("RunTask", "StopTask"))
        self._whole_answer(json.dumps({"cluster": task["clusterArn"], "task": task["taskArn"]}).encode())

    def _finish(self, kind: Kind | None, answer: Answer) -> None:
        if kind in {Kind.LOST, Kind.CUT}:
            self._reset()
        else:
            self._send(answer)

    def _whole_answer(self, body: bytes) -> Answer:
        with closing(self._ask_upstream(body)) as upstream:
            answer = upstream.getresponse()
            return Answer(answer.status, answer.read(), answer.headers["Content-Type"])

    def _forward(self, kind: Kind | None, body: bytes) -> None:
        """Pass on what upstream answers, block by block; its end is known by its length, or by the connection's end."""
        with closing(self._ask_upstream(body)) as upstream:
            answer = upstream.getresponse()
            if kind is Kind.LOST or (kind is Kind.CUT and self.command == "HEAD"):  # an answer without a body is whole
                answer.read()
                return self._reset()
            length = answer.headers["Content-Length"]
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if length is None:
                self.send_header("Connection", "close")
            self.end_headers()
            left = int(length or 0) // 2 if kind is Kind.CUT else None
            while left != 0 and (block := answer.read(BLOCK if left is None else min(BLOCK, left))):
                self.wfile.write(block)
                left = None if left is None else left - len(block)
            if kind is Kind.CUT:
                self._reset()

    def _ask_upstream(self, body: bytes) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {*HOP_BY_HOP, "content-length"}:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection

    def _body(self) -> bytes:
        """All of the request's body. `aws-chunked` is a content encoding: it is passed on as it came."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(blocks)

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        """End the connection with RST, not FIN: closed while it lingers for no time at all."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, *_: object) -> None:
        """The counters say enough."""


Proxy.handler = Handler


def called(verb: str, headers: Any, body: bytes) -> Call:
    """What a request asks for, by its target header, its form, or the service it is signed for."""
    signed = SIGNED_FOR.search(headers.get("Authorization", ""))
    service = signed[1] if signed else "unsigned"
    if target := headers.get("X-Amz-Target"):
        return Call(service, target.rpartition(".")[2], is_json=True)
    action = re.search(rb"(?:^|&)Action=(\w+)", body[:1000]) if service != "s3" else None
    return Call(service, action[1].decode() if action else verb, is_json=False)


@contextmanager
def running(upstream: str, faults: Faults) -> Iterator[str]:
    """Serve on a thread; yields the URL to use instead of `upstream`, which need not be up yet."""
    with Proxy(upstream, faults) as proxy, serving(proxy):
        yield proxy.url


@contextmanager
def serving(proxy: Proxy) -> Iterator[None]:
    """Answer on a thread for as long as the block runs."""
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        proxy.shutdown()
        thread.join()
