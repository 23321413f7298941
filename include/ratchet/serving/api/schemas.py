"""Requests and responses of the API: its contract, from which the OpenAPI page is made."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ratchet.ledger.store import Champion
from ratchet.prediction_log.records import FeedbackOutcome
from ratchet.serving.inference.shadow import ShadowCounts
from ratchet.serving.models.mlflow_source import ChallengerInfo
from ratchet.serving.models.promotion import Promotion

MAX_REVIEWS = 1_000
MAX_TERMS = 50
MAX_FIELDS = 8


def _not_boolean(value: object) -> object:
    if value is True or value is False:
        raise ValueError("a number is required, neither true nor false")
    return value


Integer = Annotated[int, BeforeValidator(_not_boolean)]
"""An integer as JSON schema defines it: 1.0 is one, true is none."""
PredictionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class Review(BaseModel):
    """One review to classify."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=1_000, examples=["Great value"])
    text: str = Field(min_length=1, max_length=100_000, examples=["It works well and does not cost much."])
    prediction_id: PredictionId = Field(
        default_factory=lambda: str(uuid4()),
        description="Identifies the prediction, so that feedback can refer to it; generated if missing.",
        examples=["order-4711"],
    )
    unit: PredictionId | None = Field(
        None,
        description="All reviews of one unit, such as a customer, are answered by the same model version during an "
        "experiment. Without a unit, each prediction is assigned by its prediction_id.",
        examples=["customer-42"],
    )


class RequestBody(BaseModel):
    """A body in which the number of possible errors is limited: reporting each costs time of the event loop."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, body: object) -> object:
        lists = [each for each in body.values() if isinstance(each, list)] if isinstance(body, dict) else []
        objects = (each for each in (body, *chain.from_iterable(lists)) if isinstance(each, dict))
        if any(len(each) > MAX_FIELDS for each in objects):
            raise ValueError(f"an object has more than {MAX_FIELDS} fields")
        return body


class PredictRequest(RequestBody):
    """The body of POST /v1/predict."""

    reviews: list[Review] = Field(min_length=1, max_length=MAX_REVIEWS)
    explain: Integer = Field(
        0,
        ge=0,
        le=MAX_TERMS,
        description="Number of n-grams with the largest contributions to return with each prediction.",
        examples=[5],
    )

    @field_validator("reviews")
    @classmethod
    def _distinct(cls, reviews: list[Review]) -> list[Review]:
        if len({review.prediction_id for review in reviews}) < len(reviews):
            raise ValueError("two reviews have the same prediction_id")
        return reviews


class Term(BaseModel):
    """A word or word pair of the review; several that share a column of the model are joined by ` / `."""

    term: str
    contribution: float = Field(description="Contribution to the score; a positive one favours label 1.")


class Explanation(BaseModel):
    """The score in its parts: `intercept`, the contributions of `terms` and `others` sum to `score`."""

    score: float = Field(description="Distance from the decision boundary; the probability is a sigmoid of it.")
    intercept: float
    terms: list[Term] = Field(description="The n-grams with the largest absolute contributions, in descending order.")
    others: float = Field(description="Sum of the contributions of all other n-grams.")


class Prediction(BaseModel):
    """The prediction for one review."""

    prediction_id: str
    label: Literal[0, 1] = Field(description="0 negative, 1 positive.")
    probability: float = Field(ge=0, le=1, description="Calibrated probability of label 1.")
    model_version: int = Field(description="The version that made the prediction.")
    arm: Literal["champion", "challenger"]
    explanation: Explanation | None = Field(None, description="Present if `explain` is above 0.")


class PredictResponse(BaseModel):
    """The predictions, in the order of the reviews. Without an experiment all are the champion's."""

    model_version: int = Field(description="The champion's version.")
    predictions: list[Prediction]


class FeedbackItem(BaseModel):
    """The true label of one prediction."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: PredictionId = Field(examples=["order-4711"])
    label: Integer = Field(ge=0, le=1, description="0 negative, 1 positive.")


class FeedbackRequest(RequestBody):
    """The body of POST /v1/feedback."""

    feedback: list[FeedbackItem] = Field(min_length=1, max_length=MAX_REVIEWS)

    @field_validator("feedback")
    @classmethod
    def _distinct(cls, feedback: list[FeedbackItem]) -> list[FeedbackItem]:
        if len({item.prediction_id for item in feedback}) < len(feedback):
            raise ValueError("two labels are for the same prediction_id")
        return feedback


class FeedbackResult(BaseModel):
    """The outcome for one label."""

    prediction_id: str
    outcome: FeedbackOutcome = Field(
        description="`added`: stored. `known`: the same label was stored before. `unknown prediction`: stored, but the "
        "log has no such prediction yet. `accepted`: stored, and compared with earlier labels later."
    )


class FeedbackResponse(BaseModel):
    """The outcome for each label, in the order of the request."""

    feedback: list[FeedbackResult]


class Liveness(BaseModel):
    """The process is running."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """A verified model is loaded."""

    status: Literal["ready"] = "ready"
    model_version: int


class ExperimentStatus(BaseModel):
    """The experiment of the challenger beside the champion."""

    share: float = Field(description="Share of the reviews that the challenger answers.")
    shadow: bool = Field(description="Whether the challenger scores the reviews that the champion answers.")
    challenger: ChallengerInfo | None = Field(description="The loaded challenger; null: the champion answers all.")
    loaded_at: datetime | None
    absence: str = Field(description="Why no challenger is loaded; empty if one is.")
    checked_at: datetime | None = Field(description="Time of the last poll of MLflow and the ledger.")
    problem: str = Field(description="A problem that needs a person; empty if there is none.")
    shadowed: ShadowCounts


class ModelInfo(BaseModel):
    """The model that serves, since when and why, and whether it is the ledger's champion."""

    registered_model: str
    promotion: Promotion
    sha256: dict[str, str] = Field(description="SHA-256 of each file of the model, by its name.")
    loaded_at: datetime
    champion: Champion | None = Field(description="The champion by the ledger; null until the ledger was read.")
    checked_at: datetime | None = Field(description="Time of the last poll of the ledger.")
    problem: str = Field(description="Why the ledger's champion is not served or not known; empty if it is served.")
    experiment: ExperimentStatus | None = Field(description="Null if there is neither an experiment nor shadow mode.")
