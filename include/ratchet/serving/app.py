"""The app: what is asked, what a request passes on its way in, and how errors look. Its lifespan owns the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware

from ratchet.serving.api import errors, routes
from ratchet.serving.api.resources import Resources
from ratchet.serving.inference.answering import Reading
from ratchet.serving.inference.log_rows import prediction_log, recorded
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.inference.write_batcher import GroupCommit
from ratchet.serving.metrics import Measured, Metrics
from ratchet.serving.middleware.auth import KeyGuard
from ratchet.serving.middleware.body_limit import BodyLimit
from ratchet.serving.middleware.fault_barrier import FaultBarrier
from ratchet.serving.middleware.load_shedding import Door, Queue
from ratchet.serving.middleware.rate_limit import RateLimit
from ratchet.serving.middleware.security_headers import SecurityHeaders
from ratchet.serving.models.challenger import Challengers
from ratchet.serving.models.champion import Loader
from ratchet.serving.settings import ServingSettings


def create_app(settings: ServingSettings) -> FastAPI:
    """The API of the champion. Raises ConfigurationError where the settings name no API key, or no log."""
    held = _resources(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with held.log, held.loader.following(), held.challengers.following(), held.shadow.running():
            yield

    app = FastAPI(
        title="Ratchet",
        summary="Is a review positive or negative? The champion answers.",
        version=settings.code_version,
        lifespan=lifespan,
        middleware=_way_in(settings, held.metrics),
        docs_url=None,  # a browser's page has no key to ask with, and loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.resources = held
    errors.add_to(app)
    app.include_router(routes.open_to_all)
    app.include_router(routes.often_asked)
    app.include_router(routes.with_key)
    return app


def _resources(settings: ServingSettings) -> Resources:
    """All parts, not started yet, and what they tell each other."""
    metrics, log, loader = Metrics(), prediction_log(settings), Loader(settings)
    metrics.follow(loader)
    metrics.follow_log(log)

    def shadowed(reading: Reading) -> None:
        metrics.predicted(reading.version, reading.arm, reading.probabilities.tolist())
        log.record(recorded(reading, with_text=settings.serving_log_text))

    shadow = Shadow(settings.serving_shadow, [shadowed])
    return Resources(settings, loader, Challengers(settings), shadow, log, GroupCommit(log), metrics)


def _way_in(settings: ServingSettings, metrics: Metrics) -> list[Middleware]:
    """What every request passes, from the outside in. What costs least to refuse is refused first."""
    return [
        Middleware(SecurityHeaders),
        Middleware(Measured, metrics=metrics),
        Middleware(FaultBarrier),
        Middleware(KeyGuard, keys=settings.api_keys),
        Middleware(RateLimit, rate=settings.serving_rate, burst=settings.serving_burst),
        Middleware(Door, most=settings.serving_requests, metrics=metrics),
        Middleware(BodyLimit, seconds=settings.serving_body_seconds),
        Middleware(
            Queue, concurrency=settings.serving_concurrency, seconds=settings.serving_queue_seconds, metrics=metrics
        ),
    ]
