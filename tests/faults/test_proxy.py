"""The proxy sends other requests on unchanged, and its faults look to boto3 like those of AWS."""

from __future__ import annotations

import http.client
import io
import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from faults.conftest import BUCKET, AwsEndpoints
from harness.fault_kinds import FaultKind

IN_THE_NETWORK = (FaultKind.RESET, FaultKind.RESPONSE_LOST, FaultKind.RESPONSE_TRUNCATED)


def launched(ecs: Any, token: str, **changes: Any) -> str:
    ecs.register_task_definition(family="job", containerDefinitions=[{"name": "job", "image": "job"}])
    arn: str = ecs.run_task(taskDefinition="job", clientToken=token, **changes)["tasks"][0]["taskArn"]
    return arn


@pytest.mark.parametrize("size", [0, 10, 20 << 20])
def test_a_request_without_a_fault_passes_unchanged(aws: AwsEndpoints, size: int) -> None:
    """An empty object, a small one, and one that boto3 transfers in parallel parts."""
    content, s3, back = os.urandom(size), aws.client("s3"), io.BytesIO()
    s3.upload_fileobj(io.BytesIO(content), BUCKET, "object")
    s3.download_fileobj(BUCKET, "object", back)
    assert back.getvalue() == content
    assert s3.head_object(Bucket=BUCKET, Key="object")["ContentLength"] == size


def test_a_body_without_a_length_waits_for_100_and_arrives(aws: AwsEndpoints) -> None:
    """SDKs send a stream so: `Expect: 100-continue`, then chunks."""
    connection = http.client.HTTPConnection(urlsplit(aws.proxied).netloc)
    headers = {"Expect": "100-continue", "Transfer-Encoding": "chunked"}
    connection.request("PUT", f"/{BUCKET}/chunks", iter([b"one ", b"two"]), headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert aws.client("s3", aws.direct).get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == b"one two"


@pytest.mark.parametrize(
    ("kind", "s3", "ecs"),
    [(FaultKind.UNAVAILABLE, "503", "ServiceUnavailable"), (FaultKind.THROTTLED, "503", "ThrottlingException")],
)
def test_an_error_response_has_the_format_of_its_service(aws: AwsEndpoints, kind: FaultKind, s3: str, ecs: str) -> None:
    """S3 answers in XML, to HEAD with the status alone; ECS answers in JSON."""
    aws.faults.inject("HEAD", kind)
    aws.faults.inject("ListTasks", kind)
    with pytest.raises(ClientError) as failure:
        aws.client("s3").head_bucket(Bucket=BUCKET)
    assert failure.value.response["Error"]["Code"] == s3
    with pytest.raises(ClientError) as failure:
        aws.client("ecs").list_tasks()
    assert failure.value.response["Error"]["Code"] == ecs


@pytest.mark.parametrize("kind", IN_THE_NETWORK)
def test_boto3_reports_a_broken_connection(aws: AwsEndpoints, kind: FaultKind) -> None:
    """The connection breaks before the request, instead of the response, or within it; the next request succeeds."""
    aws.client("s3", aws.direct).put_object(Bucket=BUCKET, Key="whole", Body=b"x" * 1000)
    aws.faults.inject("GET", kind)
    with pytest.raises(BotoCoreError):
        aws.client("s3").get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    assert len(aws.client("s3").get_object(Bucket=BUCKET, Key="whole")["Body"].read()) == 1000


@pytest.mark.parametrize(("kind", "stored"), [(FaultKind.RESET, False), (FaultKind.RESPONSE_LOST, True)])
def test_a_request_with_a_lost_response_was_carried_out(aws: AwsEndpoints, kind: FaultKind, stored: bool) -> None:
    """The two kinds of reset differ in this."""
    aws.faults.inject("PUT", kind)
    with pytest.raises(BotoCoreError):
        aws.client("s3").put_object(Bucket=BUCKET, Key=kind.name, Body=b"x")
    found = aws.client("s3", aws.direct).list_objects_v2(Bucket=BUCKET, Prefix=kind.name)["KeyCount"]
    assert found == stored


def test_a_client_token_launches_once(aws: AwsEndpoints) -> None:
    """The same parameters return the same task, others a conflict that names it; a new token launches a new task."""
    ecs = aws.client("ecs")
    first = launched(ecs, "token")
    assert launched(ecs, "token") == first
    with pytest.raises(ecs.exceptions.ConflictException) as conflict:
        launched(ecs, "token", launchType="FARGATE")
    assert conflict.value.response["resourceIds"] == [first]
    assert launched(ecs, "another token") != first
    aws.faults.honours_tokens = False
    assert launched(ecs, "token") != first


def test_the_same_seed_gives_the_same_requests_a_fault(aws: AwsEndpoints) -> None:
    """Their number is close to the rate; they are counted by operation and kind."""

    def failures(seed: int) -> list[bool]:
        aws.faults.reset(rate=0.3, seed=seed)
        s3, failed = aws.client("s3"), []
        for _ in range(100):
            try:
                s3.head_bucket(Bucket=BUCKET)
                failed.append(False)
            except (ClientError, BotoCoreError):
                failed.append(True)
        return failed

    assert failures(1) == failures(1) != failures(2)
    assert 15 < sum(aws.faults.injected.values()) < 45
    assert {operation for operation, _ in aws.faults.injected} == {"HEAD"}
