"""Predicts the reviews of a request: each arm scores its reviews on n-gram counts that are made once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ratchet.features.ngram_counts import Counts
from ratchet.model.artifact import Model, counted
from ratchet.prediction_log.records import LogArm
from ratchet.serving.inference.review import Review
from ratchet.serving.inference.routing import ModelPair

SMALL_REQUEST = 10_000
"""Size in characters, with REVIEW_OVERHEAD for each review: about 0.3 ms of work, less than waking a thread costs."""
REVIEW_OVERHEAD = 1_000

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ArmPredictions:
    """The predictions of one model version for n reviews."""

    arm: LogArm
    version: int
    experiment: str
    """The experiment for which the arm was drawn; empty if it was not drawn."""
    model: Model
    reviews: Sequence[Review]
    counts: Counts
    """N-gram counts of the reviews, n rows."""
    probabilities: Array
    """Probabilities of label 1, shape (n,)."""
    key: str
    """Name of the API key of the request."""
    seconds: float
    """Mean model time per review, in seconds."""


def request_size(reviews: Sequence[Review]) -> int:
    """Size of some reviews in characters, with REVIEW_OVERHEAD for each."""
    return sum(len(review.title) + len(review.text) + REVIEW_OVERHEAD for review in reviews)


def is_small(reviews: Sequence[Review]) -> bool:
    """Whether the event loop may predict these reviews itself, although other requests wait meanwhile."""
    return request_size(reviews) <= SMALL_REQUEST


def predict(reviews: Sequence[Review], pair: ModelPair, key: str) -> list[ArmPredictions]:
    """Predict all reviews of the API key named `key`; one result for each arm that has any of them."""
    begun = time.perf_counter()
    counts = counted([review.title for review in reviews], [review.text for review in reviews])
    arms = pair.arms(reviews)
    experiment, found = str(pair.experiment or ""), []
    for arm in sorted(set(arms)):
        rows = [row for row, each in enumerate(arms) if each == arm]
        own = counts if len(rows) == len(reviews) else counts[rows]
        loaded = pair.model_of(arm)
        probabilities = loaded.model.probabilities(own)
        own_reviews = [reviews[row] for row in rows]
        found.append(
            ArmPredictions(
                arm, loaded.version, experiment, loaded.model, own_reviews, own, probabilities, key, seconds=0.0
            )
        )
    seconds = (time.perf_counter() - begun) / len(reviews)
    return [replace(each, seconds=seconds) for each in found]
