"""What is asked and what is answered: the contract of the API, and so of its OpenAPI page."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ratchet.ledger.store import Champion
from ratchet.prediction_log.feedback import Outcome
from ratchet.serving.models.mlflow_source import ChallengerInfo
from ratchet.serving.models.promotion import Promotion

MAX_REVIEWS = 1_000
MAX_TERMS = 50
MAX_FIELDS = 8


def _number(given: object) -> object:
    if isinstance(given, bool):
        raise ValueError("a number is wanted, neither true nor false")
    return given


Whole = Annotated[int, BeforeValidator(_number)]
"""A whole number as JSON schema has it: 1.0 is one, true is none."""
PredictionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class Review(BaseModel):
    """One review to be read."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=1_000, examples=["Great value"])
    text: str = Field(min_length=1, max_length=100_000, examples=["It works well and does not cost much."])
    prediction_id: PredictionId = Field(
        default_factory=lambda: str(uuid4()),
        description="Names the prediction, so that its true label can be told later; made up if missing.",
        examples=["order-4711"],
    )
    unit: PredictionId | None = Field(
        None,
        description="Reviews of one unit, such as a customer, are read by the same version while an experiment lasts. "
        "Without one, each prediction is drawn by itself.",
        examples=["customer-42"],
    )


class RequestBody(BaseModel):
    """What a request asks, with no more flaws than can be told: each one costs time, in which nobody is answered."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: object) -> object:
        lists = [each for each in given.values() if isinstance(each, list)] if isinstance(given, dict) else []
        objects = (each for each in (given, *chain.from_iterable(lists)) if isinstance(each, dict))
        if any(len(each) > MAX_FIELDS for each in objects):
            raise ValueError("an object has far more fields than are known")
        return given


class PredictRequest(RequestBody):
    """What POST /v1/predict asks."""

    reviews: list[Review] = Field(min_length=1, max_length=MAX_REVIEWS)
    explain: Whole = Field(
        0,
        ge=0,
        le=MAX_TERMS,
        description="How many of the n-grams that weighed most are told with each answer.",
        examples=[5],
    )

    @field_validator("reviews")
    @classmethod
    def _distinct(cls, reviews: list[Review]) -> list[Review]:
        if len({review.prediction_id for review in reviews}) < len(reviews):
            raise ValueError("two reviews have the same prediction_id")
        return reviews


class Term(BaseModel):
    """A word or word pair of the review; several that the model cannot tell apart are joined by ` / `."""

    term: str
    contribution: float = Field(description="To the score; above 0 it speaks for label 1.")


class Explanation(BaseModel):
    """The score in its parts: `intercept`, the contributions of `terms` and `others` sum to `score`."""

    score: float = Field(description="Distance from the decision boundary; the probability is a sigmoid of it.")
    intercept: float
    terms: list[Term] = Field(description="Those that weighed most, weightiest first.")
    others: float = Field(description="What all other n-grams contributed together.")


class Prediction(BaseModel):
    """The answer for one review."""

    prediction_id: str
    label: Literal[0, 1] = Field(description="0 negative, 1 positive.")
    probability: float = Field(ge=0, le=1, description="Calibrated probability of label 1.")
    model_version: int = Field(description="The version that read it.")
    arm: Literal["champion", "challenger"]
    explanation: Explanation | None = Field(None, description="If `explain` asks for it.")


class PredictResponse(BaseModel):
    """The answers, in the order of the reviews. Without an experiment all are the champion's."""

    model_version: int = Field(description="The champion's version.")
    predictions: list[Prediction]


class FeedbackItem(BaseModel):
    """The true label of one prediction."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: PredictionId = Field(examples=["order-4711"])
    label: Whole = Field(ge=0, le=1, description="0 negative, 1 positive.")


class FeedbackRequest(RequestBody):
    """What POST /v1/feedback asks."""

    feedback: list[FeedbackItem] = Field(min_length=1, max_length=MAX_REVIEWS)

    @field_validator("feedback")
    @classmethod
    def _distinct(cls, feedback: list[FeedbackItem]) -> list[FeedbackItem]:
        if len({truth.prediction_id for truth in feedback}) < len(feedback):
            raise ValueError("two labels are for the same prediction_id")
        return feedback


class FeedbackResult(BaseModel):
    """What became of the label of one prediction."""

    prediction_id: str
    outcome: Outcome = Field(
        description="`added`, or `known` if it was told before. `unknown prediction`: kept, but the log has no such "
        "prediction, or not yet. `accepted`: kept, and compared with what is known later."
    )


class FeedbackResponse(BaseModel):
    """What became of each label, in their order."""

    feedback: list[FeedbackResult]


class Liveness(BaseModel):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """A verified model is loaded."""

    status: Literal["ready"] = "ready"
    model_version: int


class ShadowCounts(BaseModel):
    """What became of the reviews that shadow mode was offered since the process started, in numbers of reviews."""

    model_config = ConfigDict(frozen=True)

    read: int
    agreed: int = Field(description="Those of them that got the champion's label.")
    dropped: int = Field(description="Not read, because too many were waiting or reading them failed.")


class ExperimentStatus(BaseModel):
    """What the challenger does beside the champion."""

    share: float = Field(description="Which part of the reviews it answers.")
    shadow: bool = Field(description="Whether it reads those that the champion answers.")
    challenger: ChallengerInfo | None = Field(description="Who takes part; null, and the champion answers everything.")
    loaded_at: datetime | None
    absence: str = Field(description="Why nobody takes part; empty if somebody does.")
    checked_at: datetime | None = Field(description="When MLflow and the ledger were last asked.")
    problem: str = Field(description="What a person should look at; empty if all is well.")
    shadowed: ShadowCounts


class ModelInfo(BaseModel):
    """Who serves, since when and why; and whether that is who should."""

    registered_model: str
    promotion: Promotion
    sha256: dict[str, str] = Field(description="Of each file of the model, by its name.")
    loaded_at: datetime
    champion: Champion | None = Field(description="Whom the ledger names; null while it was never reached.")
    checked_at: datetime | None = Field(description="When the ledger was last asked.")
    problem: str = Field(description="Why the ledger's champion is not served or not known; empty if all is well.")
    experiment: ExperimentStatus | None = Field(description="Null if none is switched on.")
