"""A champion and a challenger with random weights for every column, in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.model.artifact import Card, Model
from ratchet.serving.models.follower import LoadedModel
from ratchet.serving.models.mlflow_source import ChallengerInfo
from ratchet.serving.models.promotion import Promotion


def model(seed: int) -> Model:
    rng = np.random.default_rng(seed)
    columns = np.arange(DIMENSIONS, dtype=np.uint32)
    idf, coefficients = (rng.random((2, DIMENSIONS)) - np.array([[-1], [0.5]])).astype(np.float32)
    return Model(Card(candidate="linear-svc", window="0-0", intercept=0.0), columns, idf, coefficients)


NOW = datetime.now(UTC)
PROMOTION = Promotion(
    version=1, epoch=1, window="0-0", candidate="linear-svc", model_digest="1", decision=1, promoted_at=NOW.isoformat(),
    promoted_by="the gate", reasons=[],
)  # fmt: skip
CHAMPION = LoadedModel(model(1), PROMOTION, {}, NOW)
CHALLENGER = LoadedModel(model(2), ChallengerInfo(version=2, window="0-1", model_digest="2", sha256={}), {}, NOW)
