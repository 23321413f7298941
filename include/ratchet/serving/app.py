"""The app: what is asked, who may ask, and how errors look. Its lifespan owns loaders, shadow and log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ratchet.serving import problems, routes
from ratchet.serving.answering import Reading
from ratchet.serving.challengers import Challengers
from ratchet.serving.guard import KeyGuard
from ratchet.serving.loader import Loader
from ratchet.serving.recording import prediction_log, recorded
from ratchet.serving.settings import ServingSettings
from ratchet.serving.shadow import Shadow


def create_app(settings: ServingSettings) -> FastAPI:
    """The API of the champion. Raises ConfigurationError where the settings name no API key, or no log."""
    log = prediction_log(settings)

    def shadowed(reading: Reading) -> None:
        log.record(recorded(reading, with_text=settings.serving_log_text))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loader, app.state.stopping = Loader(settings), False
        app.state.challengers = Challengers(settings)
        app.state.shadow = Shadow(settings.serving_shadow, [shadowed])
        with log, app.state.loader.following(), app.state.challengers.following(), app.state.shadow.running():
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
