"""The app as an AWS Lambda function: with AWS's own runtime client, and behind a function URL of the emulator."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from harness import lambda_runtime as runtime_api
from harness import local_s3
from harness.lambda_runtime import RuntimeApi
from harness.serving import KEY, Deployment, Mlflow, environment, wait_until
from ratchet.serving.middleware.security_headers import HEADERS

HANDLER = "ratchet.serving.aws_lambda.handler"
REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}
BODY = json.dumps({"reviews": [REVIEW]})


def event(method: str, path: str, body: str | None = None, *, key: str = KEY, encoded: bool = False) -> dict[str, Any]:
    """An event as a function URL or an HTTP API with the stage $default sends it (payload format 2.0)."""
    address = "abc123.lambda-url.eu-central-1.on.aws"
    headers = {"host": address, "x-forwarded-proto": "https", "authorization": f"Bearer {key}", "accept": "*/*"}
    sent = {} if body is None else {"body": base64.b64encode(body.encode()).decode() if encoded else body}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers | ({"content-type": "application/json"} if body else {}),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abc123",
            "domainName": address,
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "5d2f6f0e-8c1c-4d35-9d4e-0c7d6a0b6c3d",
            "routeKey": "$default",
            "deployment": "$default",
            "time": "21/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795262400000,
        },
        "isBase64Encoded": encoded,
        **sent,
    }


@pytest.fixture
def function(deployment: Deployment, tmp_path: Path) -> Iterator[RuntimeApi]:
    """The process that the image starts on Lambda, cold, with version 1 as champion."""
    deployment.promote(1)
    with runtime_api.running() as (address, api), (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", HANDLER],
            env=os.environ | environment(deployment.settings) | {"AWS_LAMBDA_RUNTIME_API": address},
            stdout=log,
            stderr=log,
        )
        try:
            yield api
        finally:
            process.kill()
            process.wait()


def test_the_first_event_is_answered_by_the_champion(function: RuntimeApi, registered: Mlflow) -> None:
    """At a cold start the model is loaded and verified first; the probability is that of the training's files."""
    for encoded in (False, True):
        response = function.invoke(event("POST", "/v1/predict", BODY, encoded=encoded))
        assert (response["statusCode"], response["isBase64Encoded"]) == (200, False)
        body = json.loads(response["body"])
        assert body["model_version"] == 1
        expected = registered.reads(1, REVIEW["title"], REVIEW["text"])
        assert body["predictions"][0]["probability"] == expected


def test_a_function_refuses_what_a_server_refuses(function: RuntimeApi) -> None:
    """The same problems, as text, with the same headers; health checks need no key."""
    refused = function.invoke(event("GET", "/v1/model", key="wrong"))
    assert (refused["statusCode"], refused["isBase64Encoded"]) == (401, False)
    assert json.loads(refused["body"])["title"] == "Unauthorized"
    assert all(refused["headers"][name.lower()] == text for name, text in HEADERS.items())
    assert function.invoke(event("GET", "/ready", key=""))["statusCode"] == 200
    assert function.invoke(event("POST", "/v1/predict", '{"reviews": []}'))["statusCode"] == 422
    assert function.invoke(event("POST", "/v1/predict", " " * (1 << 20) + BODY))["statusCode"] == 413


def test_a_function_follows_the_ledger(function: RuntimeApi, deployment: Deployment) -> None:
    """The champion changes between two events; a later event is answered by the new one, and none is an error."""
    assert json.loads(function.invoke(event("GET", "/ready"))["body"])["model_version"] == 1
    deployment.promote(2)
    wait_until(lambda: json.loads(function.invoke(event("GET", "/ready"))["body"])["model_version"] == 2)


def test_a_function_url_of_the_emulator_answers(deployment: Deployment, tmp_path: Path) -> None:
    """Over HTTP, ministack makes the event and runs the handler in its own process, with this environment."""
    deployment.promote(1)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("function.py", f"from {HANDLER.rpartition('.')[0]} import handler\n")
    with local_s3.endpoint(tmp_path, services="lambda,iam,logs,sts") as url:
        client = boto3.client("lambda", endpoint_url=url, region_name="us-east-1")
        client.create_function(
            FunctionName="ratchet",
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/ratchet",
            Handler="function.handler",
            Code={"ZipFile": code.getvalue()},
            Environment={"Variables": environment(deployment.settings)},
            Timeout=60,
            MemorySize=1024,
        )
        client.get_waiter("function_active_v2").wait(FunctionName="ratchet")
        address = client.create_function_url_config(FunctionName="ratchet", AuthType="NONE")["FunctionUrl"]
        path = f"{url}/_aws/lambda-url/{httpx.URL(address).host.partition('.')[0]}"
        with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as caller:
            response = caller.post(f"{path}/v1/predict", json={"reviews": [REVIEW]})
            refused = caller.get(f"{path}/v1/model", headers={"Authorization": ""})
    assert (response.status_code, response.json()["model_version"]) == (200, 1)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
