"""Change who serves, by hand: `rollback`, `reconcile`."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from ratchet.cli import connections
from ratchet.settings import Settings

console = Console()
panel = {"rich_help_panel": "Champion"}
Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix.")]


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    @app.command(**panel)
    def rollback(
        to: Annotated[int | None, typer.Option(help="A version that once was champion; else the one before.")] = None,
        by: Annotated[str | None, typer.Option(help="Who does this, for the ledger; else your login name.")] = None,
        store: Store = None,
    ) -> None:
        """Make an earlier champion champion again."""
        from ratchet.promotion.promote import rollback as back

        settings = settings_for(store)
        who = by or getpass.getuser()
        done = back(connections.ledger(settings), connections.registry(settings), settings, to=to, by=who)
        console.print(f"Version {done.version} is champion again, after version {done.previous} (decision {done.id}).")

    @app.command(**panel)
    def reconcile(store: Store = None) -> None:
        """Make MLflow's aliases say what the ledger says."""
        settings = settings_for(store)
        moved = connections.registry(settings).reconcile(connections.ledger(settings))
        words = ", ".join(f"{alias} → version {version}" for alias, version in moved.items())
        console.print(f"Moved: {words}." if moved else "The aliases agree with the ledger already.")
