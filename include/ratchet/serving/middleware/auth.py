"""API keys: every path needs one, except the two for health checks."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem_response
from ratchet.serving.api_keys import ApiKey, find
from ratchet.serving.middleware.body_limit import WITHOUT_BODY

OPEN = frozenset({"/health", "/ready"})
"""Paths without a key. Their requests have no body: slow bodies could exhaust the concurrency limit."""
REQUIRED_ROLE = {"/v1/predict": "predict", "/v1/feedback": "feedback", "/metrics": "admin"}
"""The role that a path requires. Every other path, /v1/model among them, accepts any key."""


class ApiKeyAuth:
    """Refuses requests without a valid key or role before a byte of their body is read.

    It sets `scope["state"]["key"]` to the ApiKey of the request.
    """

    def __init__(self, app: ASGIApp, keys: list[ApiKey]) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass requests with a valid key, and health checks, to the app."""
        if scope["type"] != "http" or (scope["path"] in OPEN and scope["method"] in WITHOUT_BODY):
            await self.app(scope, receive, send)
            return
        path = scope["path"].rstrip("\n")  # Starlette's patterns end in `$`, which matches `/metrics%0A`
        key, role = self._key(Headers(scope=scope)), REQUIRED_ROLE.get(path)
        if key is None:
            detail, headers = "Send an API key as `Authorization: Bearer KEY`.", {"WWW-Authenticate": "Bearer"}
            await problem_response(401, detail, headers=headers)(scope, receive, send)
        elif role and role not in key.roles:
            detail = f"This key lacks the role {role}. Use a key that has it; RATCHET_SERVING_KEYS defines the roles."
            await problem_response(403, detail)(scope, receive, send)
        else:
            scope.setdefault("state", {})["key"] = key
            await self.app(scope, receive, send)

    def _key(self, headers: Headers) -> ApiKey | None:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        key = find(self.keys, secret.strip())
        return key if scheme.lower() == "bearer" else None
