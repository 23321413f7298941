"""Two routes, `/` and `/api/decisions`, for users who may read the DAG; Airflow authenticates and authorises them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from airflow.api_fastapi.app import API_ROOT_PATH
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from orchestration.champion_page import page
from ratchet.errors import RatchetError
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings

DAG = "review_sentiment"
HEADERS = {
    "Content-Security-Policy": page.POLICY,
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_SESSION = {(401, "Not authenticated"), (401, "Token Expired"), (403, "Invalid JWT token")}
"""Airflow's errors for requests without a valid session; any other 403 means that the user lacks the right."""


def create_app() -> FastAPI:
    """The app that Airflow's API server mounts; it has no documentation pages, which need no login."""
    may_read = Depends(requires_access_dag("GET", param_dag_id=DAG))
    app = FastAPI(title="Champion", dependencies=[may_read], openapi_url=None)
    app.add_api_route("/", show, response_class=HTMLResponse)
    app.add_api_route("/api/decisions", decisions)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RatchetError, unavailable)
    app.middleware("http")(add_security_headers)
    return app


def show() -> str:
    """The page, as HTML."""
    return page.render(Settings().registered_model, history(), DAG)


def decisions() -> dict[str, Any]:
    """The champion and every decision with its evidence, newest first, as JSON."""
    rows = history()
    return {
        "registered_model": Settings().registered_model,
        "champion": rows.champion,
        "decisions": [{**row.model_dump(), "champion": row.champion} for row in reversed(rows)],
    }


def history() -> DecisionHistory:
    """Every decision. Each request connects anew: about one page per minute does not justify an open connection."""
    settings = Settings()
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    try:
        return ledger.history()
    finally:
        ledger.engine.dispose()


async def add_security_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Middleware: add the security headers to every response."""
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def refused(request: Request, error: Exception) -> Response:
    """Redirect a browser without a session to Airflow's login; answer a program with the status."""
    if not isinstance(error, HTTPException):
        raise error
    if (error.status_code, error.detail) in NO_SESSION and _from_browser(request):
        query = urlencode({"next": f"{API_ROOT_PATH}champion/"})
        return RedirectResponse(f"{API_ROOT_PATH}api/v2/auth/login?{query}", status_code=303)
    if _from_browser(request):
        remedy = f"Ask an administrator of Airflow for the right to read the DAG {DAG}."
        return HTMLResponse(
            page.render_error("You may not read this page", str(error.detail), remedy), error.status_code
        )
    return await http_exception_handler(request, error)


async def unavailable(request: Request, error: Exception) -> Response:
    """503: the ledger does not answer or is not configured. The message names its address without the password."""
    if _from_browser(request):
        remedy = "The champion still serves. Reload this page when the ledger is available again."
        return HTMLResponse(page.render_error("The ledger cannot be read now", str(error), remedy), 503)
    return JSONResponse({"detail": str(error)}, 503)


def _from_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
