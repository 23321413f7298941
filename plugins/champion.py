"""Airflow's UI: the page Champion, with every decision and its reasons."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

CROWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="#f0bc3e" stroke="#a87410" stroke-width="1.4"'
    ' stroke-linejoin="round"><path d="M4 17 2.6 7.2 8 11l4-6.6L16 11l5.4-3.8L20 17z"/><path d="M4.4 20.4h15.2"/></svg>'
)
"""An icon with colours of its own, visible on light, dark and selected: Airflow colours its own icons only."""


class ChampionPlugin(AirflowPlugin):
    """Adds the page to the navigation and mounts the app that serves it."""

    name = "champion"
    external_views: list[dict[str, Any]] = [  # noqa: RUF012 - Airflow reads the class attribute and does not change it
        {
            "name": "Champion",
            "href": "champion/",  # relative, so that it is right under any base URL
            "url_route": "champion",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"data:image/svg+xml,{quote(CROWN)}",
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow declares a plain attribute
        """The app, imported only when an API server reads this.

        Every task's process loads plugins, and importing FastAPI would cost it seconds.
        """
        from orchestration.champion_page import create_app

        return [{"name": "Champion", "url_prefix": "/champion", "app": create_app()}]
