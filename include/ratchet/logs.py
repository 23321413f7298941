"""Structured logs: one JSON object a line on standard output, which ECS sends to CloudWatch."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog


def configure(*, job: str = "", dag_run: str = "") -> None:
    """Set up logging for this process, once, at the entry point. In a terminal, lines are coloured text."""
    terminal = sys.stdout.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    for noisy in ("mlflow.utils.git_utils", "mlflow.utils.environment"):
        # An image has neither git nor pip; the commit comes from RATCHET_CODE_VERSION, and models carry no code.
        logging.getLogger(noisy).setLevel(logging.ERROR)
    structlog.contextvars.bind_contextvars(
        **{key: text for key, text in {"job": job, "dag_run": dag_run}.items() if text}
    )


def error_fields(error: Exception) -> dict[str, Any]:
    """The fields of a log event about an unexpected error: kind and stack, but no message, which may quote a review."""
    stack = [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(error.__traceback__)]
    return {"kind": type(error).__name__, "stack": stack}
