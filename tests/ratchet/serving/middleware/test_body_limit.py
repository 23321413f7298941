"""Long, slow and compressed bodies are refused, without effect on other requests."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from harness.serving import KEY, Api, Deployment, problem, until_version
from ratchet.serving.middleware.body_limit import MAX_BODY, MAX_DRAINED

REVIEW = {"reviews": [{"text": "It works well and does not cost much."}]}
HEAD = f"POST /v1/predict HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"


@pytest.fixture
def client(deployment: Deployment, api: Api) -> Iterator[httpx.Client]:
    """A client of an API that serves version 1 and waits half a second for a body."""
    deployment.promote(1)
    with api(deployment.settings.model_copy(update={"serving_body_seconds": 0.5})) as client:
        until_version(client, 1)
        yield client


def padded(size: int) -> bytes:
    """A valid request of `size` bytes, padded with spaces."""
    body = json.dumps(REVIEW).encode()
    return body + b" " * (size - len(body))


def test_a_body_has_at_most_a_mebibyte(client: httpx.Client) -> None:
    """The limit is exact to the byte, with and without Content-Length; the connection can be used afterwards."""
    headers = {"Content-Type": "application/json"}
    for size, status in ((MAX_BODY, 200), (MAX_BODY + 1, 413)):
        body = padded(size)
        for content in (body, iter([body[:1000], body[1000:]])):
            response = client.post("/v1/predict", content=content, headers=headers)
            assert response.status_code == status
    assert "1,048,576 bytes" in problem(response)["detail"]
    assert client.post("/v1/predict", json=REVIEW).status_code == 200


@pytest.mark.parametrize("header", [f"Content-Length: {MAX_DRAINED + 1}", "Transfer-Encoding: chunked"])
def test_an_endless_body_is_cut_off(client: httpx.Client, header: str) -> None:
    """It is refused by its Content-Length or after 4 MiB, and the connection is closed."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f"{HEAD}{header}\r\n\r\n".encode())
        sent = 0
        with pytest.raises(OSError):  # noqa: PT011, PT012 - reset or broken pipe, as the kernel likes
            while sent < 100 * MAX_DRAINED:
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 100 * MAX_DRAINED
    assert client.post("/v1/predict", json=REVIEW).status_code == 200


def test_a_slow_body_is_refused_at_the_deadline(client: httpx.Client) -> None:
    """Single bytes do not extend the deadline; other requests are answered meanwhile."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f'{HEAD}Content-Length: 1000\r\n\r\n{{"rev'.encode())
        assert client.post("/v1/predict", json=REVIEW).status_code == 200
        received = b""
        while b"\r\n\r\n" not in received:
            connection.settimeout(0.05)
            try:
                received += connection.recv(4096)
            except TimeoutError:
                connection.sendall(b" ")
    assert received.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in received.lower()


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP"])
def test_compressed_bodies_are_refused(client: httpx.Client, coding: str) -> None:
    """A decompression bomb of any size is refused before it is read; `identity` is no compression."""
    bomb = gzip.compress(padded(100 * MAX_BODY), 1)
    assert len(bomb) < MAX_BODY
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = client.post("/v1/predict", content=bomb, headers=headers)
    assert response.status_code == 415
    assert "without Content-Encoding" in problem(response)["detail"]
    assert client.post("/v1/predict", json=REVIEW, headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_closed_connection_is_counted(client: httpx.Client) -> None:
    """A body that ends too early is not processed; it is counted as 499, and the next request is answered."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        connection.sendall(f'{HEAD}Content-Length: 1000\r\n\r\n{{"rev'.encode())
    assert client.post("/v1/predict", json=REVIEW).status_code == 200
    assert 'ratchet_requests_total{route="/v1/predict",status="499"} 1.0' in client.get("/metrics").text
