"""What can go wrong between a client and AWS, and what AWS says then, in each of its protocols."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

SLOW_SECONDS = 0.3


class Kind(StrEnum):
    UNAVAILABLE = "503"
    THROTTLED = "throttled"
    RESET = "connection reset, the request unseen"
    LOST = "connection reset, the request carried out"
    CUT = "connection reset in the middle of the answer"
    SLOW = "a late answer"
    NO_STREAM = "no such log stream"
    NO_CAPACITY = "no capacity, as an error"
    NO_ROOM = "no capacity, among the failures"
    UNSEEN = "a list that lags behind"
    STOPPED = "launched, and stopped from outside"
    INTERRUPTED = "launched, and interrupted by Spot"
    NOT_PLACED = "accepted, and not placed"


ANYWHERE = (Kind.UNAVAILABLE, Kind.THROTTLED, Kind.RESET, Kind.LOST, Kind.CUT, Kind.SLOW)
ONLY_FOR = {"GetLogEvents": (Kind.NO_STREAM,), "RunTask": (Kind.NO_CAPACITY, Kind.NO_ROOM)}
CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"

ENDINGS = {
    Kind.STOPPED: {"stopCode": "UserInitiated", "stoppedReason": "Stopped by somebody"},
    Kind.INTERRUPTED: {"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."},
    Kind.NOT_PLACED: {"stopCode": "TaskFailedToStart", "stoppedReason": CAPACITY},
}
"""How ECS describes a task afterwards."""


@dataclass(frozen=True)
class Call:
    """What a request asks for: `s3` `PutObject` goes by its verb, as `PUT`."""

    service: str
    operation: str
    is_json: bool


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str


def refusal(kind: Kind, call: Call) -> Answer | None:
    """What AWS itself answers for a fault of this kind; None where the fault is in the network."""
    if kind is Kind.UNAVAILABLE:
        return _error(call, 503, "ServiceUnavailable", "Please try again later.")
    if kind is Kind.THROTTLED and call.service == "s3":
        return _error(call, 503, "SlowDown", "Please reduce your request rate.")
    if kind is Kind.THROTTLED:
        return _error(call, 400, "ThrottlingException", "Rate exceeded")
    if kind is Kind.NO_STREAM:
        return _error(call, 400, "ResourceNotFoundException", "The specified log stream does not exist.")
    if kind is Kind.NO_CAPACITY:
        return _error(call, 400, "ClientException", CAPACITY)
    if kind is Kind.NO_ROOM:
        return _json(200, {"tasks": [], "failures": [{"arn": "", "reason": CAPACITY}]})
    if kind is Kind.UNSEEN:
        return _json(200, {"taskArns": []})
    return None


def conflict(arns: list[str]) -> Answer:
    """ECS to a client token that comes back with other parameters."""
    message = "The provided clientToken is already in use with a different RunTask request."
    return _json(400, {"__type": "ConflictException", "message": message, "resourceIds": arns})


def changed(answer: Answer, endings: dict[str, Kind]) -> Answer:
    """A description of tasks, with the ends they came to instead of what the emulator knows."""
    content = json.loads(answer.body)
    for task in content.get("tasks", []):
        task.update(ENDINGS.get(endings.get(task["taskArn"]), {}))
    return _json(answer.status, content)


def _error(call: Call, status: int, code: str, message: str) -> Answer:
    if call.is_json:
        return _json(status, {"__type": code, "message": message})
    inner = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    text = inner if call.service == "s3" else f"<ErrorResponse>{inner}</ErrorResponse>"
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), "application/xml")


def _json(status: int, content: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(content).encode(), "application/x-amz-json-1.1")
