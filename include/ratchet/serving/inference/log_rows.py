"""What of a request goes into the prediction log, and which log that is."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import SecretStr

from ratchet.errors import ConfigurationError
from ratchet.jobs.storage import open_storage
from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.predictions import Prediction
from ratchet.prediction_log.sinks.base import Sink
from ratchet.prediction_log.sinks.database import Tables
from ratchet.prediction_log.sinks.files import Files
from ratchet.prediction_log.spool import Spool
from ratchet.serving.inference.answering import Reading
from ratchet.serving.settings import ServingSettings


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


def recorded(reading: Reading, *, with_text: bool) -> list[Prediction]:
    """The rows of what one arm read, in the order of its reviews."""
    now = datetime.now(UTC)
    known, probabilities = reading.model.known(reading.counts).tolist(), reading.probabilities.tolist()
    return [
        Prediction(
            prediction_id=review.prediction_id,
            at=now,
            model_version=reading.version,
            arm=reading.arm,
            experiment=reading.experiment,
            label=1 if probability >= 0.5 else 0,
            probability=probability,
            title_length=len(review.title),
            text_length=len(review.text),
            terms=terms,
            key=reading.key,
            seconds=reading.seconds,
            title=_writable(review.title) if with_text else None,
            text=_writable(review.text) if with_text else None,
        )
        for review, probability, terms in zip(reading.reviews, probabilities, known, strict=True)
    ]


def _writable(text: str) -> str:
    """Postgres takes any character but this one."""
    return text.replace("\0", "\ufffd")
