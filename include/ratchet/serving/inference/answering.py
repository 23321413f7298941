"""From the reviews of a request to its answers: each arm reads its part, and the parts are put together again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ratchet.features.document import document
from ratchet.features.ngram_counts import Counts
from ratchet.model.artifact import Model, counted
from ratchet.model.explain import explain
from ratchet.serving.api.schemas import Explanation, Prediction, Review, Term
from ratchet.serving.inference.routing import Pair


@dataclass(frozen=True)
class Reading:
    """What one version says of n reviews: `counts` of n rows, and probabilities of label 1, shape (n,)."""

    arm: Literal["champion", "challenger", "shadow"]
    version: int
    experiment: str
    """The experiment for which the arm was drawn; empty if it was not drawn."""
    model: Model
    reviews: Sequence[Review]
    counts: Counts
    probabilities: np.ndarray[Any, Any]
    key: str
    """Name of the API key that asked."""
    seconds: float
    """Of the work on one of them, on average."""


def read(reviews: Sequence[Review], pair: Pair, key: str) -> list[Reading]:
    """One reading for each arm that has any of the reviews. They are counted once, for both."""
    begun = time.perf_counter()
    counts = counted([review.title for review in reviews], [review.text for review in reviews])
    arms = pair.arms(reviews)
    drawn, found = str(pair.experiment or ""), []
    for arm in sorted(set(arms)):
        rows = [row for row, each in enumerate(arms) if each == arm]
        its = counts if len(rows) == len(reviews) else counts[rows]
        version, model = pair.of(arm)
        probabilities = model.probabilities(its)
        found.append(Reading(arm, version, drawn, model, [reviews[row] for row in rows], its, probabilities, key, 0.0))
    seconds = (time.perf_counter() - begun) / len(reviews)
    return [replace(reading, seconds=seconds) for reading in found]


def answers(reviews: Sequence[Review], readings: Sequence[Reading], terms: int) -> list[Prediction]:
    """The answers in the order of the reviews, each with its weightiest `terms` if any are asked for."""
    found = {}
    for reading in readings:
        for row, (review, probability) in enumerate(zip(reading.reviews, reading.probabilities.tolist(), strict=True)):
            found[review.prediction_id] = Prediction(
                prediction_id=review.prediction_id,
                label=1 if probability >= 0.5 else 0,
                probability=probability,
                model_version=reading.version,
                arm=reading.arm,
                explanation=_explanation(reading, row, terms) if terms else None,
            )
    return [found[review.prediction_id] for review in reviews]


def _explanation(reading: Reading, row: int, terms: int) -> Explanation:
    review = reading.reviews[row]
    parts = explain(reading.model, document(review.title, review.text), reading.counts[row : row + 1], terms)
    return Explanation(
        score=parts.score,
        intercept=parts.intercept,
        terms=[Term(term=term, contribution=weight) for term, weight in parts.terms],
        others=parts.others,
    )
