"""What the dashboard needs to know beyond the settings of every command."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ratchet.settings import Settings


class DashboardSettings(Settings):
    """The environment's `RATCHET_…` variables, those of the dashboard with `RATCHET_DASHBOARD_…` in front."""

    dashboard_api: str = Field("", description="Where the API answers, as seen from the dashboard; empty for none.")
    dashboard_api_key: SecretStr = Field(SecretStr(""), description="The key to ask the API with.")
    serving_log: SecretStr = Field(
        SecretStr(""), description="SQLAlchemy URL of the API's prediction log, as the API has it; empty: the ledger's."
    )

    @property
    def log_url(self) -> SecretStr:
        """The prediction log's database URL. Raises ConfigurationError if the store is a bucket and none is set."""
        return self.serving_log if self.serving_log.get_secret_value() else self.ledger_url
