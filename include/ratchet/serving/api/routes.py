"""The routes of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, cast

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from ratchet.prediction_log.records import FeedbackRecord
from ratchet.serving import metrics
from ratchet.serving.api import responses
from ratchet.serving.api.errors import FeedbackConflict, documented_problems
from ratchet.serving.api.fast_route import FastRoute
from ratchet.serving.api.resources import Resources
from ratchet.serving.api.schemas import (
    FeedbackRequest,
    FeedbackResponse,
    FeedbackResult,
    Liveness,
    ModelInfo,
    PredictRequest,
    PredictResponse,
    Readiness,
)
from ratchet.serving.inference.predict import is_small
from ratchet.serving.models.champion import NoModelLoaded

health_routes = APIRouter(tags=["health"])
_WITH_KEY: dict[str, Any] = {
    "tags": ["model"],
    # for the OpenAPI page only; the middleware refuses requests without a key
    "dependencies": [Security(HTTPBearer(auto_error=False, description="An API key."))],
    "responses": documented_problems(
        _401="no valid API key",
        _403="the key lacks the role",
        _429="the key has exceeded its rate limit; Retry-After gives the seconds to wait",
        _503="no verified model is loaded, or the service is overloaded; Retry-After gives the seconds to wait",
    ),
}
key_routes, predict_routes = APIRouter(**_WITH_KEY), APIRouter(**_WITH_KEY, route_class=FastRoute)
BODY_PROBLEMS = documented_problems(
    _400="the body cannot be read",
    _408="the body did not arrive in time",
    _413="the body is too long",
    _415="the body is compressed",
    _422="the request does not match its description",
)


async def _resources(request: Request) -> Resources:
    return cast(Resources, request.app.state.resources)


AppResources = Annotated[Resources, Depends(_resources)]


@health_routes.head("/health", include_in_schema=False)
@health_routes.get("/health")
async def health() -> Liveness:
    """The process is running."""
    return Liveness()


@health_routes.head("/ready", include_in_schema=False)
@health_routes.get(
    "/ready", responses=documented_problems(_503="no verified model is loaded, or the service is stopping")
)
async def ready(resources: AppResources) -> Readiness:
    """A verified model is loaded, and the service is not about to stop."""
    if resources.stopping:
        raise NoModelLoaded("The service is stopping. Send requests to another instance.")
    return Readiness(model_version=resources.loaded_champion().version)


@predict_routes.post("/v1/predict", response_model=PredictResponse, responses=BODY_PROBLEMS)
async def predict(body: PredictRequest, request: Request) -> Response:
    """Classify 1 to 1,000 reviews. If a prediction_id was used before, the log keeps its first prediction."""
    resources: Resources = request.app.state.resources
    pair, key = resources.model_pair(), request.state.key  # the middleware has set the key
    work = partial(responses.process_predict, body, pair, key.name, with_text=resources.settings.serving_log_text)
    if is_small(body.reviews) and not body.explain:
        result = work()
    else:
        result = await to_thread.run_sync(work, limiter=resources.threads)
    await resources.log.record_async(result.records)
    resources.shadow.submit(result.predictions, pair.challenger)
    for each in result.predictions:
        resources.metrics.observe_predictions(each.version, each.arm, each.probabilities.tolist())
    return Response(result.content, media_type="application/json")


@key_routes.post(
    "/v1/feedback",
    responses=BODY_PROBLEMS
    | documented_problems(
        _409="another label is stored for some predictions; the other labels of the request were stored",
        _503="the labels could not be stored, or the service is overloaded; send them again",
    ),
)
def feedback(body: FeedbackRequest, resources: AppResources) -> FeedbackResponse:
    """Send the true labels of 1 to 1,000 predictions. The first label of each is final; repeats change nothing."""
    now = datetime.now(UTC)
    rows = [FeedbackRecord(item.prediction_id, cast(Literal[0, 1], item.label), now) for item in body.feedback]
    outcomes = resources.log.add_feedback(rows)
    if "contradicts" in outcomes:
        raise FeedbackConflict([position for position, each in enumerate(outcomes) if each == "contradicts"])
    results = [
        FeedbackResult(prediction_id=row.prediction_id, outcome=outcome)
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    return FeedbackResponse(feedback=results)


@key_routes.get("/v1/model")
async def model(resources: AppResources) -> ModelInfo:
    """The model that serves, since when and why, and whether it is the ledger's champion."""
    return responses.model_info(resources)


@key_routes.get("/metrics", response_class=Response, responses={200: {"content": {metrics.MEDIA_TYPE: {}}}})
async def prometheus_metrics(resources: AppResources) -> Response:
    """Requests, errors, latencies, predictions and the champion in Prometheus' text format; needs the role admin."""
    return Response(resources.metrics.exposition(), media_type=metrics.MEDIA_TYPE)
