"""The settings of the API, beyond those of every command."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ratchet.serving import api_keys
from ratchet.serving.api_keys import ApiKey
from ratchet.settings import Settings


class ServingSettings(Settings):
    """Read from the environment: `RATCHET_SERVING_…` for the API, `RATCHET_…` for what all commands share."""

    serving_keys: SecretStr = Field(
        SecretStr(""),
        description="SHA-256 of each API key as 64 hex digits, alone or as `name:role+role:hash`, separated by commas.",
    )
    serving_cache: Path = Field(
        Path("~/.cache/ratchet/serving"), description="Folder for verified models; only one API process may use it."
    )
    serving_poll_seconds: float = Field(5.0, gt=0, description="Seconds between two polls of the ledger.")
    serving_drain_seconds: float = Field(
        3.0, ge=0, le=10, description="Seconds to go on serving, not ready, after SIGTERM, until load balancers notice."
    )
    serving_keep_alive_seconds: int = Field(
        75,
        ge=1,
        description="Seconds that an idle connection stays open. It must be longer than the idle timeout of the load "
        "balancer (60 s on AWS), which otherwise sends requests into a closing connection and answers with 502.",
    )
    serving_challenger_share: float = Field(
        0.0, ge=0, le=1, description="Share of the reviews that the challenger answers, by a sticky draw; 0: none."
    )
    serving_shadow: bool = Field(
        False, description="Whether the challenger scores the champion's reviews, too, without affecting any response."
    )

    serving_log: SecretStr = Field(
        SecretStr(""),
        description="Where predictions and feedback are stored: a SQLAlchemy URL, a folder, or s3://bucket/prefix. "
        "Empty: in the ledger's database. May contain a password.",
    )
    serving_log_mode: Literal["fsync", "buffered"] = Field(
        "fsync",
        description="`fsync`: a response is sent when its rows are durable. `buffered`: rows are written periodically.",
    )
    serving_log_flush_seconds: float = Field(
        1.0,
        gt=0,
        le=3600,
        description="Seconds between two flushes of buffer and spool: the rows that a killed process loses if "
        "buffered, and the interval at which files are made.",
    )
    serving_log_text: bool = Field(False, description="Whether titles and texts of reviews may be stored, too.")
    serving_log_spool: Path = Field(
        Path("~/.cache/ratchet/spool"), description="Folder for rows while they cannot be written."
    )
    serving_log_spool_bytes: int = Field(
        256 << 20, ge=0, description="Maximum size of the spool in bytes; rows beyond it are counted as lost."
    )

    serving_rate: float = Field(100.0, gt=0, description="Requests per second that one key may send on average.")
    serving_burst: int = Field(200, ge=1, description="Requests that one key may send at once.")
    serving_body_seconds: float = Field(10.0, gt=0, description="Seconds within which a request's body must arrive.")
    serving_requests: int = Field(256, ge=1, description="Concurrent requests with a body that are admitted.")
    serving_concurrency: int = Field(32, ge=1, description="Admitted requests that are processed at once.")
    serving_queue_seconds: float = Field(
        0.25,
        gt=0,
        description="Seconds that a request may wait to be processed; a queue that stands for longer is kept short.",
    )

    @property
    def api_keys(self) -> list[ApiKey]:
        """All API keys. Raises ConfigurationError if there is none, or one is malformed."""
        return api_keys.parse(self.serving_keys.get_secret_value())

    @property
    def challenger_enabled(self) -> bool:
        """Whether there is an experiment or shadow mode, so that a challenger is loaded."""
        return self.serving_challenger_share > 0 or self.serving_shadow
