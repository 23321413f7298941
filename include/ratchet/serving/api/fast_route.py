"""A route for the one question that is asked all the time: from bytes to a checked model in one step."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

JSON = re.compile(r"application/(.+\+)?json\s*(;|$)", re.IGNORECASE)


class LeanRoute(APIRoute):
    """FastAPI describes such a route like any other, but lets it read its requests itself.

    The endpoint takes the `asked` model and the `request`, and no dependencies: to solve them anew for each request,
    after the body went through a dict, takes a fifth of the time that an answer takes.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """What Starlette calls. Raises RequestValidationError for a body that is not as described."""
        endpoint, model = self.endpoint, get_type_hints(self.endpoint)["asked"]

        async def handle(request: Request) -> Response:
            if not JSON.match(request.headers.get("content-type", "")):
                flaw = {"type": "json_invalid", "loc": ("body",), "msg": "Send JSON, as Content-Type: application/json"}
                raise RequestValidationError([flaw])
            try:
                asked = model.model_validate_json(await request.body())
            except ValidationError as error:
                raise RequestValidationError(_flaws(error)) from None
            return await endpoint(asked, request)

        return handle


def _flaws(error: ValidationError) -> list[dict[str, Any]]:
    """As FastAPI has them."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [flaw | {"loc": ("body", *flaw["loc"])} for flaw in found]
