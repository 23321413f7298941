"""All errors of the API as problem details (RFC 9457). They quote no text of a request."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ratchet.errors import ServiceUnavailable

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100  # reported for one request
MAX_LOCATION = 200  # characters; field names come from the caller and may be of any length
RETRY_AFTER = {"Retry-After": "5"}  # seconds, about the interval between two polls of the ledger


class FeedbackConflict(Exception):
    """Some labels differ from the labels that are stored already. `positions` are theirs in the request."""

    def __init__(self, positions: list[int]) -> None:
        super().__init__(f"conflicting labels at {positions}")
        self.positions = positions


class Problem(BaseModel):
    """The reason why a request was refused, and the remedy."""

    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong and what to do next.")
    errors: dict[str, str] = Field({}, description="What is wrong, by location in the body.")


def problem_response(
    status: int, detail: str, *, errors: dict[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response with a problem as its body."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or {})
    return JSONResponse(body.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def documented_problems(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route for OpenAPI: `documented_problems(_503="no model is loaded")`."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        int(status.strip("_")): {"description": description, "content": content}
        for status, description in descriptions.items()
    }


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    found = cast(HTTPException, error)
    detail = f"{found.detail}. GET /openapi.json lists all routes."
    return problem_response(found.status_code, detail, headers=found.headers)


async def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    found = cast(RequestValidationError, error).errors()[:MAX_ERRORS]
    errors = {_location(each): each["msg"] for each in found}
    return problem_response(422, "The request does not match its description in GET /openapi.json.", errors=errors)


def _location(error: dict[str, Any]) -> str:
    """The location in the body, as in `reviews.3.text`; `body` if it is no JSON."""
    location = "" if error["type"] == "json_invalid" else ".".join(map(str, error["loc"][1:]))
    return location[:MAX_LOCATION] or "body"


async def _on_feedback_conflict(_: Request, error: Exception) -> JSONResponse:
    positions = cast(FeedbackConflict, error).positions
    errors = {f"feedback.{each}.label": "another label is stored for this prediction, and stays" for each in positions}
    detail = "Some labels contradict stored ones; see errors. The others were stored. Do not send these again."
    return problem_response(409, detail, errors=errors)


async def _on_unavailable(_: Request, error: Exception) -> JSONResponse:
    return problem_response(503, str(error), headers=RETRY_AFTER)


def add_exception_handlers(app: FastAPI) -> None:
    """Answer every expected error with a problem. Unexpected errors are handled by FaultBarrier."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(FeedbackConflict, _on_feedback_conflict)
    app.add_exception_handler(ServiceUnavailable, _on_unavailable)
