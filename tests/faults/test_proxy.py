"""The proxy passes on what it does not break, and breaks the rest so that AWS's own clients believe it."""

from __future__ import annotations

import http.client
import io
import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from faults.conftest import BUCKET, Place
from harness.fault_kinds import Kind

IN_THE_NETWORK = (Kind.RESET, Kind.LOST, Kind.CUT)


def launched(ecs: Any, token: str, **changes: Any) -> str:
    ecs.register_task_definition(family="job", containerDefinitions=[{"name": "job", "image": "job"}])
    return ecs.run_task(taskDefinition="job", clientToken=token, **changes)["tasks"][0]["taskArn"]


@pytest.mark.parametrize("size", [0, 10, 20 << 20])
def test_what_is_not_broken_passes_unchanged(place: Place, size: int) -> None:
    """Nothing, a little, and what boto3 sends and fetches in parallel parts."""
    content, s3, back = os.urandom(size), place.client("s3"), io.BytesIO()
    s3.upload_fileobj(io.BytesIO(content), BUCKET, "object")
    s3.download_fileobj(BUCKET, "object", back)
    assert back.getvalue() == content
    assert s3.head_object(Bucket=BUCKET, Key="object")["ContentLength"] == size


def test_a_body_without_a_length_waits_for_100_and_arrives(place: Place) -> None:
    """As SDKs send a stream: `Expect: 100-continue`, then chunks."""
    connection = http.client.HTTPConnection(urlsplit(place.through).netloc)
    headers = {"Expect": "100-continue", "Transfer-Encoding": "chunked"}
    connection.request("PUT", f"/{BUCKET}/chunks", iter([b"one ", b"two"]), headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert place.client("s3", place.past).get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == b"one two"


@pytest.mark.parametrize(
    ("kind", "s3", "ecs"),
    [(Kind.UNAVAILABLE, "503", "ServiceUnavailable"), (Kind.THROTTLED, "503", "ThrottlingException")],
)
def test_a_refusal_is_in_the_words_of_its_service(place: Place, kind: Kind, s3: str, ecs: str) -> None:
    """XML for S3, nothing but a status for its HEAD, JSON for ECS."""
    place.faults.order("HEAD", kind)
    place.faults.order("ListTasks", kind)
    with pytest.raises(ClientError) as failure:
        place.client("s3").head_bucket(Bucket=BUCKET)
    assert failure.value.response["Error"]["Code"] == s3
    with pytest.raises(ClientError) as failure:
        place.client("ecs").list_tasks()
    assert failure.value.response["Error"]["Code"] == ecs


@pytest.mark.parametrize("kind", IN_THE_NETWORK)
def test_a_broken_connection_is_one_for_boto3_too(place: Place, kind: Kind) -> None:
    """Whether before the answer, instead of it or in the middle of it; the next request is none the wiser."""
    place.client("s3", place.past).put_object(Bucket=BUCKET, Key="whole", Body=b"x" * 1000)
    place.faults.order("GET", kind)
    with pytest.raises(BotoCoreError):
        place.client("s3").get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    assert len(place.client("s3").get_object(Bucket=BUCKET, Key="whole")["Body"].read()) == 1000


@pytest.mark.parametrize(("kind", "there"), [(Kind.RESET, False), (Kind.LOST, True)])
def test_a_lost_answer_leaves_the_deed_done(place: Place, kind: Kind, there: bool) -> None:
    """That is the difference between the two, and the nasty one."""
    place.faults.order("PUT", kind)
    with pytest.raises(BotoCoreError):
        place.client("s3").put_object(Bucket=BUCKET, Key=kind.name, Body=b"x")
    found = place.client("s3", place.past).list_objects_v2(Bucket=BUCKET, Prefix=kind.name)["KeyCount"]
    assert found == there


def test_a_client_token_launches_once(place: Place) -> None:
    """The same parameters bring the same task; others a conflict that names it; a new token launches anew."""
    ecs = place.client("ecs")
    first = launched(ecs, "token")
    assert launched(ecs, "token") == first
    with pytest.raises(ecs.exceptions.ConflictException) as conflict:
        launched(ecs, "token", launchType="FARGATE")
    assert conflict.value.response["resourceIds"] == [first]
    assert launched(ecs, "another token") != first
    place.faults.honours_tokens = False
    assert launched(ecs, "token") != first


def test_the_same_seed_breaks_the_same_requests(place: Place) -> None:
    """And about as many as the rate says, counted by operation and kind."""

    def struck(seed: int) -> list[bool]:
        place.faults.begin(rate=0.3, seed=seed)
        s3, broken = place.client("s3"), []
        for _ in range(100):
            try:
                s3.head_bucket(Bucket=BUCKET)
                broken.append(False)
            except (ClientError, BotoCoreError):
                broken.append(True)
        return broken

    assert struck(1) == struck(1) != struck(2)
    assert 15 < sum(place.faults.injected.values()) < 45
    assert {operation for operation, _ in place.faults.injected} == {"HEAD"}
