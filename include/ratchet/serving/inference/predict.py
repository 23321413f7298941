"""The work on one request, in which nothing is waited for: read the reviews, write the log's rows, word the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.prediction_log.predictions import Prediction
from ratchet.serving.api.schemas import PredictRequest, PredictResponse
from ratchet.serving.inference.answering import Reading, answers, read
from ratchet.serving.inference.log_rows import recorded
from ratchet.serving.inference.routing import Pair

LITTLE = 10_000
"""Characters, with OVERHEAD for each review: about 0.3 ms of work, for which no thread is worth waking."""
OVERHEAD = 1_000


@dataclass(frozen=True)
class Done:
    """What became of a request: `said` is the answer as JSON."""

    readings: Sequence[Reading]
    rows: Sequence[Prediction]
    said: str


def is_little(asked: PredictRequest) -> bool:
    """Whether the event loop may do the work itself: for as long as it does, nobody else is answered."""
    size = sum(len(review.title) + len(review.text) + OVERHEAD for review in asked.reviews)
    return size <= LITTLE and not asked.explain


def work(asked: PredictRequest, pair: Pair, key: str, *, with_text: bool) -> Done:
    """All of the work on one request of the API key named `key`."""
    readings = read(asked.reviews, pair, key)
    answer = PredictResponse(
        model_version=pair.champion.promotion.version, predictions=answers(asked.reviews, readings, asked.explain)
    )
    return Done(
        readings=readings,
        rows=[row for reading in readings for row in recorded(reading, with_text=with_text)],
        said=answer.model_dump_json(exclude_none=True),
    )
