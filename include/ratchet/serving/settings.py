"""What the API needs to know beyond the settings of every command."""

from __future__ import annotations

from pathlib import Path

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

    serving_rate: float = Field(100.0, gt=0, description="How many requests a second one key may make for long.")
    serving_burst: int = Field(200, ge=1, description="How many requests one key may make at once.")
    serving_body_seconds: float = Field(10.0, gt=0, description="How long a request's body may take to arrive.")
    serving_requests: int = Field(256, ge=1, description="How many requests with a body are let in at once.")
    serving_concurrency: int = Field(8, ge=1, description="How many of them are worked on at once.")
    serving_queue_seconds: float = Field(
        0.1, gt=0, description="How long one may wait for that; a line that stands for longer is kept short."
    )

    @property
    def api_keys(self) -> list[ApiKey]:
        """All API keys. Raises ConfigurationError without any, or for one of no known form."""
        return api_keys.parse(self.serving_keys.get_secret_value())
