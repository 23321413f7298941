"""A route class for the busiest route: it validates the body's bytes directly against the endpoint's model."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

JSON = re.compile(r"application/(.+\+)?json\s*(;|$)", re.IGNORECASE)


class FastRoute(APIRoute):
    """A route that FastAPI documents like any other, but that reads its requests itself.

    The endpoint takes the `body`, a pydantic model, and the `request`, and no dependencies: resolving dependencies for
    each request, after the body was parsed to a dict, takes a fifth of the time of a prediction.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that Starlette calls. It raises RequestValidationError for a body that does not validate."""
        endpoint, model = self.endpoint, get_type_hints(self.endpoint)["body"]

        async def handle(request: Request) -> Response:
            if not JSON.match(request.headers.get("content-type", "")):
                error = {
                    "type": "json_invalid",
                    "loc": ("body",),
                    "msg": "Send JSON, as Content-Type: application/json",
                }
                raise RequestValidationError([error])
            try:
                body = model.model_validate_json(await request.body())
            except ValidationError as error:
                raise RequestValidationError(_errors_in_body(error)) from None
            response: Response = await endpoint(body, request)
            return response

        return handle


def _errors_in_body(error: ValidationError) -> list[dict[str, Any]]:
    """The errors in FastAPI's form, with locations that begin with `body`."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return [{**each, "loc": ("body", *each["loc"])} for each in errors]
