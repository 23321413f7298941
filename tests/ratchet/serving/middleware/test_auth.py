"""Keys, roles, rate limits, security headers and unexpected errors."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from harness.serving import KEY, Api, Deployment, problem, until_version
from ratchet.serving import api_keys
from ratchet.serving.app import create_app
from ratchet.serving.middleware.auth import OPEN, REQUIRED_ROLE
from ratchet.serving.middleware.body_limit import WITHOUT_BODY
from ratchet.serving.middleware.fault_barrier import FaultBarrier
from ratchet.serving.middleware.rate_limit import TokenBucket
from ratchet.serving.middleware.security_headers import HEADERS

REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}
ROLES = {"reader": "predict", "labeller": "feedback", "operator": "admin"}


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


@contextmanager
def serving(deployment: Deployment, api: Api, **settings: object) -> Iterator[httpx.Client]:
    """A client of an API that serves version 1, with other settings."""
    deployment.promote(1)
    with api(deployment.settings.model_copy(update=settings)) as client:
        until_version(client, 1)
        yield client


def test_a_key_may_use_the_routes_of_its_roles(deployment: Deployment, api: Api) -> None:
    """/v1/predict and /metrics require a role and name it when refusing; /v1/model accepts any key."""
    keys = [f"{name}:{role}:{digest(name)}" for name, role in ROLES.items()] + [digest("plain")]
    with serving(deployment, api, serving_keys=SecretStr(",".join(keys))) as client:
        allowed = {}
        for key in [*ROLES, "plain"]:
            client.headers["Authorization"] = f"Bearer {key}"
            responses = {
                "predict": client.post("/v1/predict", json={"reviews": [REVIEW]}),
                "metrics": client.get("/metrics"),
                "model": client.get("/v1/model"),
            }
            allowed[key] = {name for name, response in responses.items() if response.status_code == 200}
            refused = [response for response in responses.values() if response.status_code != 200]
            assert all(
                response.status_code == 403 and "lacks the role" in problem(response)["detail"] for response in refused
            )
    assert allowed == {
        "reader": {"predict", "model"},
        "labeller": {"model"},
        "operator": {"metrics", "model"},
        "plain": {"predict", "model"},
    }


def test_no_spelling_of_a_path_avoids_its_role(deployment: Deployment, api: Api) -> None:
    """A path that leads to a route requires the route's role, however it is encoded."""
    keys = SecretStr(f"labeller:feedback:{digest(KEY)}")
    with serving(deployment, api, serving_keys=keys) as client:
        for path in ("/metrics", "/metrics%0A", "/%6Detrics", "/metrics?", "/metrics/"):
            assert client.get(path).status_code in {403, 404}
        for path in ("/v1/predict", "/v1/predict%0a", "/v1/%70redict"):
            assert client.post(path, json={"reviews": [REVIEW]}).status_code == 403


def test_bodies_without_a_key_are_not_read(deployment: Deployment, api: Api) -> None:
    """Open paths are open without a body only: otherwise slow bodies could exhaust the concurrency limit."""
    with serving(deployment, api, serving_requests=1) as client, ExitStack() as stack:
        for path in sorted(OPEN):
            connection = stack.enter_context(socket.create_connection((client.base_url.host, client.base_url.port)))
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: api\r\nContent-Length: 1000\r\n\r\n{{".encode())
            assert connection.recv(12) == b"HTTP/1.1 401"
        assert client.post("/v1/predict", json={"reviews": [REVIEW]}).status_code == 200


def test_keys_are_parsed_with_names_and_roles() -> None:
    """A hash alone may predict and give feedback; the other form has a name and roles."""
    plain, named = api_keys.parse(f"{digest('a')}, ops:admin+predict:{digest('b')}")
    assert (plain.name, plain.roles) == ("", frozenset({"predict", "feedback"}))
    assert (named.name, named.roles) == ("ops", frozenset({"admin", "predict"}))
    assert api_keys.find([plain, named], "b") is named
    assert api_keys.find([plain, named], digest("b")) is None


def test_every_route_has_a_role_or_is_known_to_have_none(deployment: Deployment) -> None:
    """A new route must be added to the roles, and a route with a body to the limits of bodies."""
    routes = [route for route in create_app(deployment.settings).routes if isinstance(route, APIRoute)]
    assert {route.path for route in routes} <= OPEN | set(REQUIRED_ROLE) | {"/v1/model"}
    assert all(route.body_field is None for route in routes if route.methods & WITHOUT_BODY)


def test_a_key_over_its_rate_is_refused(deployment: Deployment, api: Api) -> None:
    """The fourth request gets 429 with the time to wait; health checks have no limit, and another key has its own."""
    keys = SecretStr(f"{digest(KEY)},{digest('other')}")
    with serving(deployment, api, serving_keys=keys, serving_rate=0.01, serving_burst=3) as client:
        assert [client.get("/v1/model").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        refused = client.post("/v1/predict", json={"reviews": [REVIEW]})
        assert 90 < int(refused.headers["retry-after"]) <= 100
        assert "0.01 requests a second" in problem(refused)["detail"]
        assert client.get("/health").status_code == 200
        assert client.get("/v1/model", headers={"Authorization": "Bearer other"}).status_code == 200


def test_a_token_bucket_refills_to_its_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rate of 2 and a burst of 3, there are 3 tokens after a minute, not 120."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    now = 0.5
    assert [bucket.take(), bucket.take()] == [0, 0.5]
    now = 60
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


def test_every_response_has_the_security_headers(deployment: Deployment, api: Api) -> None:
    """Successful responses, refusals and unknown paths."""
    with serving(deployment, api) as client:
        responses = [
            client.get("/health"),
            client.get("/v1/model"),
            client.get("/nothing"),
            client.get("/v1/model", headers={"Authorization": ""}),
            client.post("/v1/predict", content=b"{", headers={"Content-Type": "application/json"}),
        ]
    assert [response.status_code for response in responses] == [200, 200, 404, 401, 422]
    assert all(
        HEADERS.items() <= {name.title(): text for name, text in each.headers.items()}.items() for each in responses
    )


def test_an_unexpected_error_quotes_no_request() -> None:
    """It is a 500 problem; the log has kind and stack, but no message."""

    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("secret words of a review")

    async def request_once() -> httpx.Response:
        transport = httpx.ASGITransport(FaultBarrier(faulty))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/v1/predict")

    with capture_logs() as logged:
        response = asyncio.run(request_once())
    assert response.status_code == 500
    assert "its log has the details" in problem(response)["detail"]
    assert [event["kind"] for event in logged] == ["ValueError"]
    assert any("faulty" in line for line in logged[0]["stack"])
    assert "secret words" not in f"{response.text}{logged}"
