"""Settings of the dashboard, in addition to those of every command."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ratchet.settings import Settings


class DashboardSettings(Settings):
    """The `RATCHET_…` variables of the environment; those of the dashboard alone begin with `RATCHET_DASHBOARD_`."""

    dashboard_api: str = Field("", description="Address of the API, as seen from the dashboard; empty for none.")
    dashboard_api_key: SecretStr = Field(SecretStr(""), description="API key of the dashboard.")
    serving_log: SecretStr = Field(
        SecretStr(""),
        description="SQLAlchemy URL of the API's prediction log, the same as on the API; empty: the ledger's.",
    )

    @property
    def log_url(self) -> SecretStr:
        """URL of the prediction log's database. Raises ConfigurationError for a store in a bucket if none is set."""
        return self.serving_log if self.serving_log.get_secret_value() else self.ledger_url
