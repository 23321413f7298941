"""What a body may be: long, slow and compressed ones are refused, and nobody else notices."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from harness.serving import KEY, Api, Stage, problem, until_version
from ratchet.serving.middleware.body_limit import MAX_BODY, MAX_DRAINED

REVIEW = {"reviews": [{"text": "It works well and does not cost much."}]}
HEAD = f"POST /v1/predict HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"


@pytest.fixture
def client(stage: Stage, api: Api) -> Iterator[httpx.Client]:
    """A client of an API that serves version 1 and waits half a second for a body."""
    stage.promote(1)
    with api(stage.settings.model_copy(update={"serving_body_seconds": 0.5})) as client:
        until_version(client, 1)
        yield client


def padded(size: int) -> bytes:
    """A good request of so many bytes: JSON may have any space between its parts."""
    asked = json.dumps(REVIEW).encode()
    return asked + b" " * (size - len(asked))


def test_a_body_has_at_most_a_mebibyte(client: httpx.Client) -> None:
    """To the byte, whether its length is told or not; the connection is as good as before."""
    headers = {"Content-Type": "application/json"}
    for size, status in ((MAX_BODY, 200), (MAX_BODY + 1, 413)):
        body = padded(size)
        for content in (body, iter([body[:1000], body[1000:]])):
            answer = client.post("/v1/predict", content=content, headers=headers)
            assert answer.status_code == status
    assert "1,048,576 bytes" in problem(answer)["detail"]
    assert client.post("/v1/predict", json=REVIEW).status_code == 200


@pytest.mark.parametrize("told", [f"Content-Length: {MAX_DRAINED + 1}", "Transfer-Encoding: chunked"])
def test_a_body_without_end_is_cut_off(client: httpx.Client, told: str) -> None:
    """Refused by its length, or after 4 MiB; then the connection is closed, and no more of it is read."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f"{HEAD}{told}\r\n\r\n".encode())
        sent = 0
        with pytest.raises(OSError):  # noqa: PT011, PT012 - reset or broken pipe, as the kernel likes
            while sent < 100 * MAX_DRAINED:
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 100 * MAX_DRAINED
    assert client.post("/v1/predict", json=REVIEW).status_code == 200


def test_a_slow_body_is_not_waited_for(client: httpx.Client) -> None:
    """A byte now and then does not extend the deadline; while it trickles, others are answered."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f'{HEAD}Content-Length: 1000\r\n\r\n{{"rev'.encode())
        assert client.post("/v1/predict", json=REVIEW).status_code == 200
        said = b""
        while b"\r\n\r\n" not in said:
            connection.settimeout(0.05)
            try:
                said += connection.recv(4096)
            except TimeoutError:
                connection.sendall(b" ")
    assert said.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP"])
def test_a_bomb_has_nothing_to_go_off_in(client: httpx.Client, coding: str) -> None:
    """A body that says it is compressed is refused as it is, however small; `identity` is none."""
    bomb = gzip.compress(padded(100 * MAX_BODY), 1)
    assert len(bomb) < MAX_BODY
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = client.post("/v1/predict", content=bomb, headers=headers)
    assert answer.status_code == 415
    assert "without Content-Encoding" in problem(answer)["detail"]
    assert client.post("/v1/predict", json=REVIEW, headers={"Content-Encoding": "identity"}).status_code == 200


def test_who_hangs_up_leaves_nothing_behind(client: httpx.Client) -> None:
    """A body that ends too early is no request; it is counted, and the next one is answered."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f'{HEAD}Content-Length: 1000\r\n\r\n{{"rev'.encode())
    assert client.post("/v1/predict", json=REVIEW).status_code == 200
    assert 'ratchet_requests_total{route="/v1/predict",status="499"} 1.0' in client.get("/metrics").text
