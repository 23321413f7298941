"""What of a request goes into the prediction log, and which log that is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import SecretStr

from ratchet.errors import ConfigurationError
from ratchet.monitoring import predictions
from ratchet.monitoring.files import Files
from ratchet.monitoring.log import PredictionLog
from ratchet.monitoring.predictions import Arm
from ratchet.monitoring.sinks import Sink
from ratchet.monitoring.spool import Spool
from ratchet.monitoring.tables import Tables
from ratchet.serving.schemas import Prediction, Review
from ratchet.serving.settings import ServingSettings
from ratchet.storage import open_storage


def prediction_log(settings: ServingSettings) -> PredictionLog:
    """The log that the settings ask for, not started yet. Raises ConfigurationError for what is no place for one."""
    spool, cache = settings.serving_log_spool.expanduser().resolve(), settings.serving_cache.expanduser().resolve()
    if spool.is_relative_to(cache):
        raise ConfigurationError(
            f"The spool {spool} lies in the cache {cache}, which forgets what is no model. Change "
            "RATCHET_SERVING_LOG_SPOOL or RATCHET_SERVING_CACHE."
        )
    return PredictionLog(
        _sink(settings),
        Spool(spool, settings.serving_log_spool_bytes),
        buffered=settings.serving_log_mode == "buffered",
        flush_seconds=settings.serving_log_flush_seconds,
    )


def _sink(settings: ServingSettings) -> Sink:
    where = settings.serving_log.get_secret_value() or settings.ledger_url.get_secret_value()
    scheme, colon, _ = where.partition("://")
    if not colon or scheme in {"file", "s3"}:
        return Files(open_storage(where))
    return Tables(SecretStr(where))


def recorded(
    reviews: Sequence[Review],
    answers: Sequence[Prediction],
    terms: Sequence[int],
    *,
    model_version: int,
    arm: Arm,
    key: str,
    seconds: float,
    with_text: bool,
) -> list[predictions.Prediction]:
    """The rows of one request, in the order of its reviews. `seconds` is what all of them took."""
    now = datetime.now(UTC)
    return [
        predictions.Prediction(
            prediction_id=review.prediction_id,
            at=now,
            model_version=model_version,
            arm=arm,
            label=answer.label,
            probability=answer.probability,
            title_length=len(review.title),
            text_length=len(review.text),
            terms=known,
            key=key,
            seconds=seconds / len(reviews),
            title=_writable(review.title) if with_text else None,
            text=_writable(review.text) if with_text else None,
        )
        for review, answer, known in zip(reviews, answers, terms, strict=True)
    ]


def _writable(text: str) -> str:
    """Postgres takes any character but this one."""
    return text.replace("\0", "\ufffd")
