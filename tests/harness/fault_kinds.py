"""The kinds of faults between a client and AWS, and the responses of AWS to them, in each of its protocols."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

SLOW_SECONDS = 0.3


class FaultKind(StrEnum):
    """The kind of fault that the proxy injects into a request; the value is its name in test reports."""

    UNAVAILABLE = "503"
    THROTTLED = "throttled"
    RESET = "connection reset before the request was sent on"
    RESPONSE_LOST = "connection reset after the request was carried out"
    RESPONSE_TRUNCATED = "connection reset in the middle of the response"
    RESPONSE_LATE = "a late response"
    NO_LOG_STREAM = "no such log stream"
    CAPACITY_ERROR = "no capacity, as an error"
    CAPACITY_FAILURE = "no capacity, among the failures"
    EMPTY_LIST = "a list that lags behind"
    TASK_STOPPED = "launched, then stopped from outside"
    SPOT_INTERRUPTION = "launched, then interrupted by Spot"
    TASK_NOT_PLACED = "accepted, then not placed"


ANY_OPERATION = (
    FaultKind.UNAVAILABLE,
    FaultKind.THROTTLED,
    FaultKind.RESET,
    FaultKind.RESPONSE_LOST,
    FaultKind.RESPONSE_TRUNCATED,
    FaultKind.RESPONSE_LATE,
)
BY_OPERATION = {
    "GetLogEvents": (FaultKind.NO_LOG_STREAM,),
    "RunTask": (FaultKind.CAPACITY_ERROR, FaultKind.CAPACITY_FAILURE),
}
CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"

STOP_DETAILS = {
    FaultKind.TASK_STOPPED: {"stopCode": "UserInitiated", "stoppedReason": "Stopped by a user"},
    FaultKind.SPOT_INTERRUPTION: {"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."},
    FaultKind.TASK_NOT_PLACED: {"stopCode": "TaskFailedToStart", "stoppedReason": CAPACITY},
}
"""How ECS describes a task after such a fault."""


@dataclass(frozen=True)
class ApiCall:
    """The operation of a request. Operations of S3 are known by their verb: PutObject is `PUT`."""

    service: str
    operation: str
    is_json: bool


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str


def fault_response(kind: FaultKind, call: ApiCall) -> Response | None:
    """The response that AWS itself sends for a fault of this kind; None if the fault is in the network."""
    if kind is FaultKind.UNAVAILABLE:
        return _error(call, 503, "ServiceUnavailable", "Please try again later.")
    if kind is FaultKind.THROTTLED and call.service == "s3":
        return _error(call, 503, "SlowDown", "Please reduce your request rate.")
    if kind is FaultKind.THROTTLED:
        return _error(call, 400, "ThrottlingException", "Rate exceeded")
    if kind is FaultKind.NO_LOG_STREAM:
        return _error(call, 400, "ResourceNotFoundException", "The specified log stream does not exist.")
    if kind is FaultKind.CAPACITY_ERROR:
        return _error(call, 400, "ClientException", CAPACITY)
    if kind is FaultKind.CAPACITY_FAILURE:
        return _json(200, {"tasks": [], "failures": [{"arn": "", "reason": CAPACITY}]})
    if kind is FaultKind.EMPTY_LIST:
        return _json(200, {"taskArns": []})
    return None


def conflict_response(arns: list[str]) -> Response:
    """The response of ECS to a client token that is used again with other parameters."""
    message = "The provided clientToken is already in use with a different RunTask request."
    return _json(400, {"__type": "ConflictException", "message": message, "resourceIds": arns})


def with_stop_details(response: Response, faults: dict[str, FaultKind]) -> Response:
    """A DescribeTasks response with the stop reasons of the tasks' faults, by ARN, which the emulator does not know."""
    content = json.loads(response.body)
    for task in content.get("tasks", []):
        kind = faults.get(task["taskArn"])
        task.update(STOP_DETAILS[kind] if kind else {})
    return _json(response.status, content)


def _error(call: ApiCall, status: int, code: str, message: str) -> Response:
    if call.is_json:
        return _json(status, {"__type": code, "message": message})
    inner = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    text = inner if call.service == "s3" else f"<ErrorResponse>{inner}</ErrorResponse>"
    return Response(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), "application/xml")


def _json(status: int, content: dict[str, object]) -> Response:
    return Response(status, json.dumps(content).encode(), "application/x-amz-json-1.1")
