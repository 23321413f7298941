"""What can be asked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from ratchet.serving import metrics
from ratchet.serving.loader import Loader, NothingServed, Served
from ratchet.serving.metrics import Metrics
from ratchet.serving.problems import documented
from ratchet.serving.schemas import Alive, Prediction, Predictions, Ready, Reviews, ServedModel

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


Current = Annotated[Served, Depends(served)]


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
def predict(asked: Reviews, current: Current, counters: Annotated[Metrics, Depends(counters)]) -> Response:
    """Read 1 to 1,000 reviews."""
    titles, texts = [review.title for review in asked.reviews], [review.text for review in asked.reviews]
    probabilities = current.model.read(titles, texts).tolist()
    counters.predicted(current.promotion.version, "champion", probabilities)
    answers = zip(asked.reviews, probabilities, strict=True)
    answer = Predictions(
        model_version=current.promotion.version,
        predictions=[
            Prediction(
                prediction_id=review.prediction_id, label=1 if probability >= 0.5 else 0, probability=probability
            )
            for review, probability in answers
        ],
    )
    return Response(answer.model_dump_json(), media_type="application/json")  # else a second thread would write it


@with_key.get("/model")
async def model(loader: Annotated[Loader, Depends(loader)]) -> ServedModel:
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
    )


@with_key.get("/metrics", response_class=Response, responses={200: {"content": {metrics.MEDIA_TYPE: {}}}})
async def measured(counters: Annotated[Metrics, Depends(counters)]) -> Response:
    """Rate, errors, durations, predictions and the champion, in Prometheus' text format; for a key with role admin."""
    return Response(counters.page(), media_type=metrics.MEDIA_TYPE)
