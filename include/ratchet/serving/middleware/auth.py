"""Who may ask what: every path needs an API key, but the two that health checks look at."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.serving.api.errors import problem
from ratchet.serving.api_keys import ApiKey, find
from ratchet.serving.middleware.body_limit import WITHOUT_BODY

OPEN = frozenset({"/health", "/ready"})
"""Only without a body: else whoever has no key could fill the door with slow ones."""
ROLE = {"/v1/predict": "predict", "/v1/feedback": "feedback", "/metrics": "admin"}
"""The role that a path requires. Every other path, /v1/model among them, accepts any key."""


class KeyGuard:
    """Stands before the app as plain ASGI, so that nobody without a key has a byte of the body read.

    Who asks is `scope["state"]["key"]`, an ApiKey, from here on inwards.
    """

    def __init__(self, app: ASGIApp, keys: list[ApiKey]) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in OPEN and scope["method"] in WITHOUT_BODY):
            await self.app(scope, receive, send)
            return
        path = scope["path"].rstrip("\n")  # a route is found by a pattern that ends in `$`, and so takes `/metrics%0A`
        key, role = self._asks(Headers(scope=scope)), ROLE.get(path)
        if key is None:
            said, headers = "Send an API key as `Authorization: Bearer KEY`.", {"WWW-Authenticate": "Bearer"}
            await problem(401, said, headers=headers)(scope, receive, send)
        elif role and role not in key.roles:
            said = f"This key lacks the role {role}. Ask with one that has it; RATCHET_SERVING_KEYS gives roles."
            await problem(403, said)(scope, receive, send)
        else:
            scope.setdefault("state", {})["key"] = key
            await self.app(scope, receive, send)

    def _asks(self, headers: Headers) -> ApiKey | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = find(self.keys, given.strip())
        return key if scheme.lower() == "bearer" else None
