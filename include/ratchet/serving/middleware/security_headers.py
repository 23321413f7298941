"""Headers that every answer has: browsers shall neither guess, nor keep, nor frame anything of it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY = {  # what OWASP's cheat sheet on REST security asks for
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",  # read by browsers only where TLS ends before this service
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
AS_SENT = [(name.lower().encode(), text.encode()) for name, text in SECURITY.items()]


class SecurityHeaders:
    """Adds them, whoever made the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *AS_SENT]
            await send(message)

        await self.app(scope, receive, with_headers)
