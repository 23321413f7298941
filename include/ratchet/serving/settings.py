"""What the API needs to know beyond the settings of every command."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ratchet.serving import api_keys
from ratchet.serving.api_keys import ApiKey
from ratchet.settings import Settings


class ServingSettings(Settings):
    """The environment's `RATCHET_…` variables, those of the API with `RATCHET_SERVING_…` in front."""

    serving_keys: SecretStr = Field(
        SecretStr(""),
        description="SHA-256 of each API key as 64 hex digits, alone or as `name:role+role:hash`, separated by commas.",
    )
    serving_cache: Path = Field(
        Path("~/.cache/ratchet/serving"), description="Where verified models are kept; one API process has it alone."
    )
    serving_poll_seconds: float = Field(5.0, gt=0, description="Between two looks at the ledger.")
    serving_drain_seconds: float = Field(
        3.0, ge=0, le=10, description="How long to answer on, not ready, after SIGTERM, until load balancers noticed."
    )
    serving_challenger_share: float = Field(
        0.0, ge=0, le=1, description="Which part of the reviews the challenger answers, by a sticky draw; 0: none."
    )
    serving_shadow: bool = Field(
        False, description="Whether the challenger reads what the champion answers, without anybody noticing."
    )

    serving_log: SecretStr = Field(
        SecretStr(""),
        description="Where predictions and feedback are kept: a SQLAlchemy URL, a folder, or s3://bucket/prefix. "
        "Empty: beside the ledger. May hold a password.",
    )
    serving_log_mode: Literal["fsync", "buffered"] = Field(
        "fsync",
        description="`fsync`: no answer before its row is durable. `buffered`: rows are written now and then.",
    )
    serving_log_flush_seconds: float = Field(
        1.0,
        gt=0,
        le=3600,
        description="Between two looks at buffer and spool: what a killed process loses if buffered, and the pace at "
        "which files are made.",
    )
    serving_log_text: bool = Field(False, description="Whether titles and texts of reviews may be kept, too.")
    serving_log_spool: Path = Field(
        Path("~/.cache/ratchet/spool"), description="Where rows wait on this machine while they cannot be written."
    )
    serving_log_spool_bytes: int = Field(
        256 << 20, ge=0, description="How large the spool may grow; what comes then is counted as lost."
    )

    serving_rate: float = Field(100.0, gt=0, description="How many requests a second one key may make for long.")
    serving_burst: int = Field(200, ge=1, description="How many requests one key may make at once.")
    serving_body_seconds: float = Field(10.0, gt=0, description="How long a request's body may take to arrive.")
    serving_requests: int = Field(256, ge=1, description="How many requests with a body are let in at once.")
    serving_concurrency: int = Field(32, ge=1, description="How many of them are worked on at once.")
    serving_queue_seconds: float = Field(
        0.25, gt=0, description="How long one may wait for that; a line that stands for longer is kept short."
    )

    @property
    def api_keys(self) -> list[ApiKey]:
        """All API keys. Raises ConfigurationError without any, or for one of no known form."""
        return api_keys.parse(self.serving_keys.get_secret_value())
