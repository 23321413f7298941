"""Creates the app: routes, middleware, error handlers, and a lifespan that owns the resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware

from ratchet.serving.api import errors, routes
from ratchet.serving.api.resources import Resources
from ratchet.serving.inference.log_rows import create_prediction_log, prediction_records
from ratchet.serving.inference.predict import ArmPredictions
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.metrics import Metrics
from ratchet.serving.middleware.auth import ApiKeyAuth
from ratchet.serving.middleware.body_limit import BodyLimit
from ratchet.serving.middleware.fault_barrier import FaultBarrier
from ratchet.serving.middleware.load_shedding import AdmissionQueue, ConcurrencyLimit
from ratchet.serving.middleware.rate_limit import RateLimit
from ratchet.serving.middleware.request_metrics import RequestMetrics
from ratchet.serving.middleware.security_headers import SecurityHeaders
from ratchet.serving.settings import ServingSettings


def create_app(settings: ServingSettings) -> FastAPI:
    """The API. Raises ConfigurationError if the settings name no API key or no usable prediction log."""
    resources = _resources(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with (
            resources.log,
            resources.champion.polling(),
            resources.challenger.polling(),
            resources.shadow.running(),
        ):
            yield

    app = FastAPI(
        title="Ratchet",
        summary="Classifies reviews as positive or negative with the champion model.",
        version=settings.code_version,
        lifespan=lifespan,
        middleware=_middleware(settings, resources.metrics),
        docs_url=None,  # the page has no API key to send, and loads scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.resources = resources
    errors.add_exception_handlers(app)
    app.include_router(routes.health_routes)
    app.include_router(routes.predict_routes)
    app.include_router(routes.key_routes)
    return app


def _resources(settings: ServingSettings) -> Resources:
    """All resources, not started yet, and connected to each other."""
    metrics, log = Metrics(), create_prediction_log(settings)

    def on_shadow_predictions(predictions: ArmPredictions) -> None:
        metrics.observe_predictions(predictions.version, predictions.arm, predictions.probabilities.tolist())
        log.record(prediction_records(predictions, with_text=settings.serving_log_text))

    shadow = Shadow(settings.serving_shadow, [on_shadow_predictions])
    resources = Resources.create(settings, shadow, log, metrics)
    metrics.export_champion(resources.champion)
    metrics.export_log(log)
    return resources


def _middleware(settings: ServingSettings, metrics: Metrics) -> list[Middleware]:
    """The middleware of every request, from the outside in. The cheapest refusals come first."""
    return [
        Middleware(SecurityHeaders),
        Middleware(RequestMetrics, metrics=metrics),
        Middleware(FaultBarrier),
        Middleware(ApiKeyAuth, keys=settings.api_keys),
        Middleware(RateLimit, rate=settings.serving_rate, burst=settings.serving_burst),
        Middleware(ConcurrencyLimit, limit=settings.serving_requests, metrics=metrics),
        Middleware(BodyLimit, seconds=settings.serving_body_seconds),
        Middleware(
            AdmissionQueue,
            concurrency=settings.serving_concurrency,
            seconds=settings.serving_queue_seconds,
            metrics=metrics,
        ),
    ]
