"""Clients that offer HTTP/2 or another protocol get their answer over HTTP/1.1."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from harness.serving import KEY, Deployment, Mlflow, process_of, settings_in, until_version

BODY = json.dumps({"reviews": [{"text": "a good one"}, {"text": "a bad one"}]}).encode()
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
JAVA = """
import java.net.URI;
import java.net.http.*;
class Client {
    public static void main(String[] a) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(a[0])).header("Authorization", "Bearer " + a[1])
            .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(a[2])).build();
        var client = HttpClient.newHttpClient();
        for (int i = 0; i < 3; i++)
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
"""


def request(body: bytes, *, offer: bytes = OFFER, chunked: bool = False) -> bytes:
    """One request as bytes."""
    if chunked:
        body, length = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"Transfer-Encoding: chunked\r\n"
    else:
        length = b"Content-Length: %d\r\n" % len(body)
    return HEAD % KEY.encode() + offer + length + b"\r\n" + body


@pytest.fixture(scope="module")
def client(registered: Mlflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a process that serves version 1."""
    deployment = Deployment(settings_in(tmp_path_factory.mktemp("api"), registered.uri), registered)
    deployment.promote(1)
    with process_of(deployment.settings) as (_, client):
        until_version(client, 1)
        yield client


def responses(client: httpx.Client, *packets: bytes, number: int = 1) -> list[httpx.Response]:
    """The responses to bytes that are sent one packet after the other."""
    found, unread = [], b""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for packet in packets:
            connection.sendall(packet)
            time.sleep(0.02)  # so that the server most probably reads it alone; the result is the same if not
        while len(found) < number:
            head, complete, rest = unread.partition(b"\r\n\r\n")
            lines = [line.split(b": ") for line in head.split(b"\r\n")[1:]]
            length = next((int(value) for name, value in lines if name.lower() == b"content-length"), 0)
            if complete and len(rest) >= length:
                found.append(httpx.Response(int(head.split()[1]), content=rest[:length]))
                unread = rest[length:]
            else:
                received = connection.recv(1 << 16)
                assert received, "the server closed the connection"
                unread += received
    return found


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "offer", [OFFER, b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]
)
def test_the_body_of_a_request_with_an_offer_is_read(client: httpx.Client, offer: bytes, chunked: bool) -> None:
    """The response is that of the same request without the offer."""
    plain = client.post("/v1/predict", content=BODY, headers={"Content-Type": "application/json"}).json()
    (response,) = responses(client, request(BODY, offer=offer, chunked=chunked))
    assert response.status_code == 200
    assert [each["label"] for each in response.json()["predictions"]] == [
        each["label"] for each in plain["predictions"]
    ]


def test_packets_may_end_anywhere(client: httpx.Client) -> None:
    """In the request line, in the offer, between head and body, and in the body."""
    whole = request(BODY)
    body = whole.index(b"\r\n\r\n") + 4
    for place in (3, whole.index(b"h2c") + 1, body - 2, body, body + 5, len(whole) - 1):
        (response,) = responses(client, whole[:place], whole[place:])
        assert (response.status_code, len(response.json()["predictions"])) == (200, 2)


def test_the_connection_stays_usable(client: httpx.Client) -> None:
    """Requests with and without an offer follow each other in one packet."""
    packet = request(BODY) + request(BODY, offer=b"") + request(BODY)
    assert [response.status_code for response in responses(client, packet, number=3)] == [200, 200, 200]


def test_health_checks_may_offer_too(client: httpx.Client) -> None:
    """A request without a body is served, too."""
    head = b"GET /health HTTP/1.1\r\nHost: api\r\n" + OFFER + b"\r\n"
    assert [response.status_code for response in responses(client, head + head, number=2)] == [200, 200]


@pytest.mark.parametrize("target", [b"CONNECT api:443 HTTP/1.1", b"CONNECT /v1/predict HTTP/1.1"])
def test_connect_is_refused(client: httpx.Client, target: bytes) -> None:
    """The server neither tunnels nor hangs, and goes on serving others."""
    (response,) = responses(client, target + b"\r\nHost: api\r\n" + OFFER + b"\r\n")
    assert response.status_code in {400, 401, 405}
    assert client.get("/health").status_code == 200


def test_curl_with_http2(client: httpx.Client) -> None:
    """`curl --http2` offers h2c with every request."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-sS", "--http2", "--fail-with-body", "-H", f"Authorization: Bearer {KEY}"]
    command += ["-H", "Content-Type: application/json", "-d", BODY.decode(), str(client.base_url.join("/v1/predict"))]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stdout + output.stderr
    assert len(json.loads(output.stdout)["predictions"]) == 2


def test_javas_http_client(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Java's HttpClient in its default settings offers h2c with its first request."""
    java = shutil.which("java")
    modules = (
        subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=True).stdout if java else ""
    )
    if "jdk.compiler" not in modules:
        pytest.skip("no Java that can compile is installed")
    source = tmp_path_factory.mktemp("java") / "Client.java"
    source.write_text(JAVA)
    url = str(client.base_url.join("/v1/predict"))
    output = subprocess.run([java, str(source), url, KEY, BODY.decode()], capture_output=True, text=True, check=False)
    assert (output.stdout.split(), output.stderr) == (["200"] * 3, "")
