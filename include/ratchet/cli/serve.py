"""The services: `serve` is the prediction API, `dashboard` the web page about models, decisions and traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ratchet.cli import panels
from ratchet.settings import Settings

Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 in a container.")]
Port = Annotated[int, typer.Option(help="The port to listen on.")]


def add_to(app: typer.Typer, _settings_for: Callable[[str | None], Settings]) -> None:
    """Add the commands of this module. They read settings of their own, so `_settings_for` is not used."""

    @app.command(rich_help_panel=panels.SERVICE)
    def serve(host: Host = "127.0.0.1", port: Port = 8000, store: panels.Store = None) -> None:
        """Serve predictions of the champion over HTTP; a new champion in the ledger replaces it without a restart."""
        from ratchet.serving.server import serve as run
        from ratchet.serving.settings import ServingSettings

        run(ServingSettings(**_overrides(store)), host, port)

    @app.command(rich_help_panel=panels.SERVICE)
    def dashboard(host: Host = "127.0.0.1", port: Port = 8501, store: panels.Store = None) -> None:
        """Show models, decisions, traffic, feedback and costs in a browser, read-only."""
        from ratchet.dashboard.server import serve as run
        from ratchet.dashboard.settings import DashboardSettings

        run(DashboardSettings(**_overrides(store)), host, port)


def _overrides(store: str | None) -> dict[str, Any]:
    """The settings that the command line overrides."""
    return {"store": store} if store else {}
