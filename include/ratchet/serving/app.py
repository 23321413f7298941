"""The app: what is asked, who may ask, and how errors look. Its lifespan owns loader and log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ratchet.serving import problems, routes
from ratchet.serving.guard import KeyGuard
from ratchet.serving.loader import Loader
from ratchet.serving.recording import prediction_log
from ratchet.serving.settings import ServingSettings


def create_app(settings: ServingSettings) -> FastAPI:
    """The API of the champion. Raises ConfigurationError where the settings name no API key, or no log."""
    log = prediction_log(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loader, app.state.stopping = Loader(settings), False
        with log, app.state.loader.following():
            yield

    app = FastAPI(
        title="Ratchet",
        summary="Is a review positive or negative? The champion answers.",
        version=settings.code_version,
        lifespan=lifespan,
        docs_url=None,  # a browser's page has no key to ask with, and loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings, app.state.log = settings, log
    app.add_middleware(KeyGuard, hashes=settings.key_hashes)
    problems.add_to(app)
    app.include_router(routes.open_to_all)
    app.include_router(routes.with_key)
    return app
