"""What the API needs to know beyond the settings of every command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ratchet.errors import ConfigurationError
from ratchet.settings import Settings

HOW = 'Make one: KEY=$(openssl rand -hex 32); its hash: printf %s "$KEY" | sha256sum'


class ServingSettings(Settings):
    """The environment's `RATCHET_…` variables, those of the API with `RATCHET_SERVING_…` in front."""

    serving_keys: SecretStr = Field(
        SecretStr(""), description="SHA-256 of each API key as 64 hex digits, separated by commas. No key opens none."
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

    @property
    def key_hashes(self) -> list[bytes]:
        """The digests of all API keys. Raises ConfigurationError without any, or for one that is no SHA-256."""
        given = [each.strip() for each in self.serving_keys.get_secret_value().split(",") if each.strip()]
        if not given:
            raise ConfigurationError(f"RATCHET_SERVING_KEYS names no API key, so nobody could ask anything. {HOW}")
        if not all(re.fullmatch("[0-9a-fA-F]{64}", each) for each in given):
            raise ConfigurationError(f"RATCHET_SERVING_KEYS holds something that is no SHA-256 in hex. {HOW}")
        return [bytes.fromhex(each) for each in given]
