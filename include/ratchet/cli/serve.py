"""What runs on and on for others to look at: `serve` answers requests, `dashboard` shows what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ratchet.settings import Settings

panel = {"rich_help_panel": "Serve"}
Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix. Default: RATCHET_STORE, or ./data.")]
Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 in a container.")]


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    @app.command(**panel)
    def serve(
        host: Host = "127.0.0.1",
        port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
        store: Store = None,
    ) -> None:
        """Answer with the champion over HTTP, and follow the ledger to the next one."""
        from ratchet.serving.server import serve as run
        from ratchet.serving.settings import ServingSettings

        run(ServingSettings(**_given(store)), host, port)

    @app.command(**panel)
    def dashboard(
        host: Host = "127.0.0.1",
        port: Annotated[int, typer.Option(help="The port to listen on.")] = 8501,
        store: Store = None,
    ) -> None:
        """Show models, decisions, traffic, feedback and costs in a browser; nothing can be changed there."""
        from ratchet.dashboard.server import serve as run
        from ratchet.dashboard.settings import DashboardSettings

        run(DashboardSettings(**_given(store)), host, port)


def _given(store: str | None) -> dict[str, str]:
    """What the command line says over the environment."""
    return {"store": store} if store else {}
