"""What can be asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from ratchet.monitoring.feedback import Feedback
from ratchet.monitoring.log import PredictionLog
from ratchet.serving import metrics
from ratchet.serving.answering import answers, read
from ratchet.serving.api_keys import ApiKey
from ratchet.serving.arms import Pair, paired
from ratchet.serving.challengers import Challengers
from ratchet.serving.loader import Loader, NothingServed, Served
from ratchet.serving.metrics import Metrics
from ratchet.serving.problems import Contradiction, documented
from ratchet.serving.recording import recorded
from ratchet.serving.schemas import Alive, Kept, Outcomes, Predictions, Ready, Reviews, Rivalry, ServedModel, Truths
from ratchet.serving.settings import ServingSettings
from ratchet.serving.shadow import Shadow

open_to_all = APIRouter(tags=["health"])
with_key = APIRouter(
    tags=["model"],
    dependencies=[Security(HTTPBearer(auto_error=False, description="An API key."))],  # for OpenAPI; the guard refuses
    responses=documented(
        _401="no valid API key",
        _403="the key lacks the role",
        _429="the key asks too often; Retry-After says when to come back",
        _503="no verified model is loaded, or too much is asked at once; Retry-After says when to come back",
    ),
)
OF_A_BODY = documented(
    _400="the body cannot be read",
    _408="the body did not arrive in time",
    _413="the body is too long",
    _415="the body is compressed",
    _422="the request is not as described here",
)


async def loader(request: Request) -> Loader:
    return request.app.state.loader


async def served(loader: Annotated[Loader, Depends(loader)]) -> Served:
    """The champion, taken once a request: a swap meanwhile does not touch it. Raises NothingServed."""
    if loader.served is None:
        raise NothingServed("No verified model is loaded yet. GET /model says why, to those who have a key.")
    return loader.served


async def counters(request: Request) -> Metrics:
    return request.app.state.metrics


async def key(request: Request) -> ApiKey:
    """Who asks, as the guard found."""
    return request.state.key


async def settings(request: Request) -> ServingSettings:
    return request.app.state.settings


async def challengers(request: Request) -> Challengers:
    return request.app.state.challengers


async def shadow(request: Request) -> Shadow:
    return request.app.state.shadow


async def log(request: Request) -> PredictionLog:
    return request.app.state.log


Current = Annotated[Served, Depends(served)]
Rivals = Annotated[Challengers, Depends(challengers)]
Shade = Annotated[Shadow, Depends(shadow)]
Given = Annotated[ServingSettings, Depends(settings)]
Log = Annotated[PredictionLog, Depends(log)]
Counters = Annotated[Metrics, Depends(counters)]


async def pair(current: Current, rivals: Rivals, given: Given) -> Pair:
    """Champion and challenger, taken once a request."""
    return paired(current, rivals.current, given.serving_challenger_share)


@open_to_all.get("/health")
async def health() -> Alive:
    """The process lives."""
    return Alive()


@open_to_all.get("/ready", responses=documented(_503="no verified model is loaded, or the service is stopping"))
async def ready(request: Request, current: Current) -> Ready:
    """A verified model is loaded, and the service is not about to stop."""
    if request.app.state.stopping:
        raise NothingServed("The service is stopping. Ask another one.")
    return Ready(model_version=current.promotion.version)


@with_key.post("/predict", response_model=Predictions, responses=OF_A_BODY)
def predict(
    asked: Reviews,
    pair: Annotated[Pair, Depends(pair)],
    shade: Shade,
    log: Log,
    given: Given,
    counters: Counters,
    key: Annotated[ApiKey, Depends(key)],
) -> Response:
    """Read 1 to 1,000 reviews. For a prediction_id that was used before, the log keeps the first answer."""
    readings = read(asked.reviews, pair, key=key.name)
    log.record([row for reading in readings for row in recorded(reading, with_text=given.serving_log_text)])
    shade.offer(readings, pair.challenger)
    for reading in readings:
        counters.predicted(reading.version, reading.arm, reading.probabilities.tolist())
    answer = Predictions(
        model_version=pair.champion.promotion.version, predictions=answers(asked.reviews, readings, asked.explain)
    )
    said = answer.model_dump_json(exclude_none=True)  # here, because FastAPI would write it in a second thread
    return Response(said, media_type="application/json")


@with_key.post(
    "/feedback",
    responses=OF_A_BODY
    | documented(
        _409="another label was told before; the other labels of the request are kept",
        _503="nothing takes the labels at the moment, or too much is asked at once; tell them again",
    ),
)
def feedback(told: Truths, log: Log) -> Outcomes:
    """Tell the true labels of 1 to 1,000 predictions. The first label of each stays; the same again changes nothing."""
    now = datetime.now(UTC)
    rows = [Feedback(truth.prediction_id, truth.label, now) for truth in told.feedback]
    outcomes = log.add_feedback(rows)
    if "contradicts" in outcomes:
        raise Contradiction([place for place, outcome in enumerate(outcomes) if outcome == "contradicts"])
    kept = zip(rows, outcomes, strict=True)
    return Outcomes(feedback=[Kept(prediction_id=row.prediction_id, outcome=outcome) for row, outcome in kept])


@with_key.get("/model")
async def model(loader: Annotated[Loader, Depends(loader)], rivals: Rivals, shade: Shade) -> ServedModel:
    """Who serves, since when and why; and whether that is who should."""
    current = loader.served
    if current is None:
        raise NothingServed(loader.problem)
    return ServedModel(
        registered_model=current.kept.registered_model,
        promotion=current.promotion,
        sha256=current.kept.sha256,
        loaded_at=current.loaded_at,
        champion=loader.champion,
        checked_at=loader.checked_at,
        problem=loader.problem,
        experiment=_rivalry(rivals, shade) if rivals.wanted else None,
    )


def _rivalry(rivals: Challengers, shade: Shadow) -> Rivalry:
    current = rivals.current
    return Rivalry(
        share=rivals.settings.serving_challenger_share,
        shadow=rivals.settings.serving_shadow,
        challenger=current and current.nominee,
        loaded_at=current and current.loaded_at,
        absence=rivals.absence,
        checked_at=rivals.checked_at,
        problem=rivals.problem,
        shadowed=shade.state(),
    )


@with_key.get("/metrics", response_class=Response, responses={200: {"content": {metrics.MEDIA_TYPE: {}}}})
async def measured(counters: Counters) -> Response:
    """Rate, errors, durations, predictions and the champion, in Prometheus' text format; for a key with role admin."""
    return Response(counters.page(), media_type=metrics.MEDIA_TYPE)
