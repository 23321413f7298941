"""Two routes, `/` and `/api/decisions`, for whoever may read the DAG: Airflow itself finds out who that is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from airflow.api_fastapi.app import API_ROOT_PATH
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from orchestration.champion_page import page
from ratchet.errors import RatchetError
from ratchet.ledger.store import Decision, Ledger
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
"""How Airflow refuses whom it does not know; any other 403 is about somebody it knows and who may not."""


def create_app() -> FastAPI:
    """The app that Airflow's API server mounts; it has no documentation pages, which anybody could read."""
    may_read = Depends(requires_access_dag("GET", param_dag_id=DAG))
    app = FastAPI(title="Champion", dependencies=[may_read], openapi_url=None)
    app.add_api_route("/", show, response_class=HTMLResponse)
    app.add_api_route("/api/decisions", tell)
    app.add_exception_handler(HTTPException, refuse)
    app.add_exception_handler(RatchetError, apologise)
    app.middleware("http")(guard)
    return app


def show() -> str:
    return page.of(Settings().registered_model, history(), DAG)


def tell() -> dict[str, Any]:
    """The same for machines, newest first, with all of the evidence."""
    rows = history()
    return {
        "registered_model": Settings().registered_model,
        "champion": rows[0].champion if rows else None,
        "decisions": [{**row.model_dump(), "champion": row.champion} for row in rows],
    }


def history() -> list[Decision]:
    """Every decision, newest first. Read anew each time: a page a minute is worth no connection held open."""
    settings = Settings()
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    try:
        return ledger.history()[::-1]
    finally:
        ledger.engine.dispose()


async def guard(request: Request, call_next: Any) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def refuse(request: Request, error: HTTPException) -> Response:
    """To log in, a person is sent to where Airflow does that; a program is told."""
    if (error.status_code, error.detail) in NO_SESSION and _for_a_person(request):
        query = urlencode({"next": f"{API_ROOT_PATH}champion/"})
        return RedirectResponse(f"{API_ROOT_PATH}api/v2/auth/login?{query}", status_code=303)
    if _for_a_person(request):
        remedy = f"Whoever administers Airflow can give you the right to read the DAG {DAG}."
        return HTMLResponse(
            page.trouble("This page is not yours to read", str(error.detail), remedy), error.status_code
        )
    return await http_exception_handler(request, error)


async def apologise(request: Request, error: RatchetError) -> Response:
    """The ledger does not answer, or is not configured; the message says where and what to do, without a password."""
    if _for_a_person(request):
        remedy = "Nothing is lost by that: the champion serves as before. Reload this page when it is mended."
        return HTMLResponse(page.trouble("The ledger cannot be read now", str(error), remedy), 503)
    return JSONResponse({"detail": str(error)}, 503)


def _for_a_person(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
