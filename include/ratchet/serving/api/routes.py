"""What can be asked."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from ratchet.prediction_log.feedback import Feedback
from ratchet.serving import metrics
from ratchet.serving.api.errors import Contradiction, documented
from ratchet.serving.api.fast_route import LeanRoute
from ratchet.serving.api.resources import Resources
from ratchet.serving.api.schemas import (
    ExperimentStatus,
    FeedbackRequest,
    FeedbackResponse,
    FeedbackResult,
    Liveness,
    ModelInfo,
    PredictRequest,
    PredictResponse,
    Readiness,
)
from ratchet.serving.inference.predict import is_little, work
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.models.challenger import Challengers
from ratchet.serving.models.champion import NothingServed

open_to_all = APIRouter(tags=["health"])
_WITH_KEY: dict[str, Any] = {
    "tags": ["model"],
    "dependencies": [Security(HTTPBearer(auto_error=False, description="An API key."))],  # to tell; the guard refuses
    "responses": documented(
        _401="no valid API key",
        _403="the key lacks the role",
        _429="the key asks too often; Retry-After says when to come back",
        _503="no verified model is loaded, or too much is asked at once; Retry-After says when to come back",
    ),
}
with_key, often_asked = APIRouter(**_WITH_KEY), APIRouter(**_WITH_KEY, route_class=LeanRoute)
OF_A_BODY = documented(
    _400="the body cannot be read",
    _408="the body did not arrive in time",
    _413="the body is too long",
    _415="the body is compressed",
    _422="the request is not as described here",
)


async def resources(request: Request) -> Resources:
    return request.app.state.resources


Held = Annotated[Resources, Depends(resources)]


@open_to_all.get("/health")
async def health() -> Liveness:
    """The process lives."""
    return Liveness()


@open_to_all.get("/ready", responses=documented(_503="no verified model is loaded, or the service is stopping"))
async def ready(held: Held) -> Readiness:
    """A verified model is loaded, and the service is not about to stop."""
    if held.stopping:
        raise NothingServed("The service is stopping. Ask another one.")
    return Readiness(model_version=held.served().promotion.version)


@often_asked.post("/v1/predict", response_model=PredictResponse, responses=OF_A_BODY)
async def predict(asked: PredictRequest, request: Request) -> Response:
    """Read 1 to 1,000 reviews. For a prediction_id that was used before, the log keeps the first answer."""
    held, key = request.app.state.resources, request.state.key  # as the guard found
    pair = held.pair()
    its_work = partial(work, asked, pair, key.name, with_text=held.settings.serving_log_text)
    done = its_work() if is_little(asked) else await to_thread.run_sync(its_work, limiter=held.threads)
    await held.commit.record(done.rows)
    held.shadow.offer(done.readings, pair.challenger)
    for reading in done.readings:
        held.metrics.predicted(reading.version, reading.arm, reading.probabilities.tolist())
    return Response(done.said, media_type="application/json")


@with_key.post(
    "/v1/feedback",
    responses=OF_A_BODY
    | documented(
        _409="another label was told before; the other labels of the request are kept",
        _503="nothing takes the labels at the moment, or too much is asked at once; tell them again",
    ),
)
def feedback(told: FeedbackRequest, held: Held) -> FeedbackResponse:
    """Tell the true labels of 1 to 1,000 predictions. The first label of each stays; the same again changes nothing."""
    now = datetime.now(UTC)
    rows = [Feedback(truth.prediction_id, truth.label, now) for truth in told.feedback]
    outcomes = held.log.add_feedback(rows)
    if "contradicts" in outcomes:
        raise Contradiction([place for place, outcome in enumerate(outcomes) if outcome == "contradicts"])
    kept = zip(rows, outcomes, strict=True)
    return FeedbackResponse(
        feedback=[FeedbackResult(prediction_id=row.prediction_id, outcome=outcome) for row, outcome in kept]
    )


@with_key.get("/v1/model")
async def model(held: Held) -> ModelInfo:
    """Who serves, since when and why; and whether that is who should."""
    loader = held.loader
    current = loader.served
    if current is None:
        raise NothingServed(loader.problem)
    return ModelInfo(
        registered_model=current.kept.registered_model,
        promotion=current.promotion,
        sha256=current.kept.sha256,
        loaded_at=current.loaded_at,
        champion=loader.champion,
        checked_at=loader.checked_at,
        problem=loader.problem,
        experiment=_rivalry(held.challengers, held.shadow) if held.challengers.wanted else None,
    )


def _rivalry(rivals: Challengers, shadow: Shadow) -> ExperimentStatus:
    current = rivals.current
    return ExperimentStatus(
        share=rivals.settings.serving_challenger_share,
        shadow=rivals.settings.serving_shadow,
        challenger=current and current.nominee,
        loaded_at=current and current.loaded_at,
        absence=rivals.absence,
        checked_at=rivals.checked_at,
        problem=rivals.problem,
        shadowed=shadow.state(),
    )


@with_key.get("/metrics", response_class=Response, responses={200: {"content": {metrics.MEDIA_TYPE: {}}}})
async def measured(held: Held) -> Response:
    """Rate, errors, durations, predictions and the champion, in Prometheus' text format; for a key with role admin."""
    return Response(held.metrics.page(), media_type=metrics.MEDIA_TYPE)
