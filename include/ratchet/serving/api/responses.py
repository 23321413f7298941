"""Builds the responses of the API from what inference, followers and log return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from ratchet.features.document import document
from ratchet.model.explain import explain
from ratchet.prediction_log.records import PredictionRecord
from ratchet.serving.api.resources import Resources
from ratchet.serving.api.schemas import (
    ExperimentStatus,
    Explanation,
    ModelInfo,
    Prediction,
    PredictRequest,
    PredictResponse,
    Review,
    Term,
)
from ratchet.serving.inference.log_rows import prediction_records
from ratchet.serving.inference.predict import ArmPredictions, predict
from ratchet.serving.inference.routing import ModelPair
from ratchet.serving.models.champion import NoModelLoaded


@dataclass(frozen=True)
class PredictResult:
    """A processed request: the predictions of each arm, the rows for the log, and the response as JSON."""

    predictions: Sequence[ArmPredictions]
    records: Sequence[PredictionRecord]
    content: str


def process_predict(body: PredictRequest, pair: ModelPair, key: str, *, with_text: bool) -> PredictResult:
    """All work on a request of the API key named `key`; it waits for nothing."""
    arms = predict(body.reviews, pair, key)
    response = PredictResponse(
        model_version=pair.champion.version, predictions=predictions_in_order(body.reviews, arms, body.explain)
    )
    return PredictResult(
        predictions=arms,
        records=[record for each in arms for record in prediction_records(each, with_text=with_text)],
        content=response.model_dump_json(exclude_none=True),
    )


def predictions_in_order(reviews: Sequence[Review], arms: Sequence[ArmPredictions], terms: int) -> list[Prediction]:
    """The predictions in the order of the reviews, each explained by its `terms` largest contributions if above 0."""
    found = {}
    for each in arms:
        arm = cast(Literal["champion", "challenger"], each.arm)
        for row, (review, probability) in enumerate(zip(each.reviews, each.probabilities.tolist(), strict=True)):
            found[review.prediction_id] = Prediction(
                prediction_id=review.prediction_id,
                label=1 if probability >= 0.5 else 0,
                probability=probability,
                model_version=each.version,
                arm=arm,
                explanation=_explanation(each, row, terms) if terms else None,
            )
    return [found[review.prediction_id] for review in reviews]


def _explanation(predictions: ArmPredictions, row: int, terms: int) -> Explanation:
    review, counts = predictions.reviews[row], predictions.counts[row : row + 1]
    parts = explain(predictions.model, document(review.title, review.text), counts, terms)
    return Explanation(
        score=parts.score,
        intercept=parts.intercept,
        terms=[Term(term=term, contribution=weight) for term, weight in parts.terms],
        others=parts.others,
    )


def model_info(resources: Resources) -> ModelInfo:
    """The model that serves. Raises NoModelLoaded, with the reason, if there is none."""
    follower = resources.champion
    loaded = follower.current
    if loaded is None:
        raise NoModelLoaded(follower.problem)
    return ModelInfo(
        registered_model=resources.settings.registered_model,
        promotion=loaded.info,
        sha256=loaded.sha256,
        loaded_at=loaded.loaded_at,
        champion=resources.champion_source.champion,
        checked_at=follower.checked_at,
        problem=follower.problem,
        experiment=_experiment_status(resources) if resources.challenger.enabled else None,
    )


def _experiment_status(resources: Resources) -> ExperimentStatus:
    follower, settings = resources.challenger, resources.settings
    loaded = follower.current
    return ExperimentStatus(
        share=settings.serving_challenger_share,
        shadow=settings.serving_shadow,
        challenger=loaded and loaded.info,
        loaded_at=loaded and loaded.loaded_at,
        absence=follower.absence,
        checked_at=follower.checked_at,
        problem=follower.problem,
        shadowed=resources.shadow.counts(),
    )
