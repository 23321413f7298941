"""What the dashboard needs to know beyond the settings of every command."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ratchet.settings import Settings


class DashboardSettings(Settings):
    """The environment's `RATCHET_…` variables, those of the dashboard with `RATCHET_DASHBOARD_…` in front."""

    dashboard_api: str = Field("", description="Where the API answers, as seen from the dashboard; empty for none.")
    dashboard_api_key: SecretStr = Field(SecretStr(""), description="The key to ask the API with.")
