"""Builds the prediction log and the rows that each request adds to it."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import SecretStr

from ratchet.errors import ConfigurationError
from ratchet.jobs.storage import open_storage
from ratchet.prediction_log.log import PredictionLog
from ratchet.prediction_log.records import PredictionRecord
from ratchet.prediction_log.sinks.base import Sink
from ratchet.prediction_log.sinks.database import DatabaseSink
from ratchet.prediction_log.sinks.files import FileSink
from ratchet.prediction_log.spool import Spool
from ratchet.serving.inference.predict import ArmPredictions
from ratchet.serving.settings import ServingSettings


def create_prediction_log(settings: ServingSettings) -> PredictionLog:
    """The log that the settings describe, not started yet.

    Raises ConfigurationError if the settings name no usable sink, or a spool inside the model cache.
    """
    spool, cache = settings.serving_log_spool.expanduser().resolve(), settings.serving_cache.expanduser().resolve()
    if spool.is_relative_to(cache):
        raise ConfigurationError(
            f"The spool {spool} is inside the model cache {cache}, which deletes every folder that is no model. Change "
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
        return FileSink(open_storage(where))
    return DatabaseSink(SecretStr(where))


def prediction_records(predictions: ArmPredictions, *, with_text: bool) -> list[PredictionRecord]:
    """The log's rows for the predictions of one arm, in the order of its reviews."""
    now = datetime.now(UTC)
    known = predictions.model.known(predictions.counts).tolist()
    return [
        PredictionRecord(
            prediction_id=review.prediction_id,
            at=now,
            model_version=predictions.version,
            arm=predictions.arm,
            experiment=predictions.experiment,
            label=1 if probability >= 0.5 else 0,
            probability=probability,
            title_length=len(review.title),
            text_length=len(review.text),
            terms=terms,
            key=predictions.key,
            seconds=predictions.seconds,
            title=_without_nul(review.title) if with_text else None,
            text=_without_nul(review.text) if with_text else None,
        )
        for review, probability, terms in zip(
            predictions.reviews, predictions.probabilities.tolist(), known, strict=True
        )
    ]


def _without_nul(text: str) -> str:
    """The text with its NUL characters replaced; Postgres accepts every other character."""
    return text.replace("\0", "\ufffd")
