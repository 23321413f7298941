"""The one shape of every refusal: problem details, as RFC 9457 has them. They quote no text that a caller sent."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ratchet.errors import ServiceUnavailable

MEDIA_TYPE = "application/problem+json"
TOLD = 100  # flaws of one request; who sent more mends these first
PLACE = 200  # characters; a field's name is the caller's, and as long as the caller likes
RETRY_AFTER = {"Retry-After": "5"}  # seconds, about one look at the ledger


class Contradiction(Exception):
    """Some labels differ from those that were told first, which stay."""

    def __init__(self, places: list[int]) -> None:
        super().__init__(f"contradicted at {places}")
        self.places = places


class Problem(BaseModel):
    """Why a request was refused, and what to do."""

    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong and what to do next.")
    errors: dict[str, str] = Field({}, description="What is wrong, by place in the body.")


def problem(
    status: int, detail: str, *, errors: dict[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response that refuses."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or {})
    return JSONResponse(body.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def documented(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: `documented(_503="nothing is loaded")`."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status.strip("_")): {"description": says, "content": content} for status, says in reasons.items()}


async def _of_http(request: Request, error: HTTPException) -> JSONResponse:
    return problem(error.status_code, f"{error.detail}. GET /openapi.json lists what there is.", headers=error.headers)


async def _of_validation(request: Request, error: RequestValidationError) -> JSONResponse:
    errors = {_place(flaw): flaw["msg"] for flaw in error.errors()[:TOLD]}
    return problem(422, "The request is not as GET /openapi.json describes it; see errors.", errors=errors)


def _place(flaw: dict[str, Any]) -> str:
    """Where in the body, as in `reviews.3.text`; what is no JSON has no places."""
    place = "" if flaw["type"] == "json_invalid" else ".".join(map(str, flaw["loc"][1:]))
    return place[:PLACE] or "body"


async def _of_contradiction(request: Request, error: Contradiction) -> JSONResponse:
    errors = {f"feedback.{place}.label": "another label was told before, and stays" for place in error.places}
    return problem(409, "Some labels contradict earlier ones; see errors. The others are kept.", errors=errors)


async def _of_absence(request: Request, error: ServiceUnavailable) -> JSONResponse:
    return problem(503, str(error), headers=RETRY_AFTER)


def add_to(app: FastAPI) -> None:
    """Answer every error in the one shape. What is no error of a caller's and no absence is the FaultBarrier's."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Contradiction, _of_contradiction)
    app.add_exception_handler(ServiceUnavailable, _of_absence)
