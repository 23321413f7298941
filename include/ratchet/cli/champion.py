"""Commands that change the champion by hand: `rollback`, `reconcile`."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from ratchet.cli import connections, panels
from ratchet.settings import Settings

console = Console()
panel: dict[str, Any] = {"rich_help_panel": panels.CHAMPION}


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add these commands to the CLI. `settings_for` gives the settings for the option --store."""

    @app.command(**panel)
    def rollback(
        serving: Annotated[
            int | None,
            typer.Option("--from", help="The version that should be champion no longer; any other is left alone."),
        ] = None,
        to: Annotated[int | None, typer.Option(help="A former champion; by default the one before.")] = None,
        by: Annotated[str | None, typer.Option(help="Your name, for the ledger; by default your login name.")] = None,
        store: panels.Store = None,
    ) -> None:
        """Make an earlier champion champion again. With --from, it may be repeated without going further back."""
        from ratchet.promotion.rollback import rollback as roll_back

        settings = settings_for(store)
        ledger, registry = connections.ledger(settings), connections.registry(settings)
        done = roll_back(ledger, registry, settings, to=to, by=by or getpass.getuser(), serving=serving)
        console.print(f"Version {done.version} is champion again, after version {done.previous} (decision {done.id}).")

    @app.command(**panel)
    def reconcile(store: panels.Store = None) -> None:
        """Move MLflow's aliases to the versions that the ledger names."""
        settings = settings_for(store)
        moved = connections.registry(settings).reconcile(connections.ledger(settings))
        words = ", ".join(f"{alias} → version {version}" for alias, version in moved.items())
        console.print(f"Moved: {words}." if moved else "The aliases agree with the ledger already.")
