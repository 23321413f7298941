"""What people do at the console besides running jobs: see, predict, steer."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ratchet.ledger.store import Ledger
from ratchet.settings import Settings


def ledger(settings: Settings) -> Ledger:
    """The ledger that the settings name."""
    return Ledger(settings.ledger_url, settings.registered_model)


def registry(settings: Settings):
    """MLflow's registry that the settings name; imported late, because MLflow takes a second to import."""
    from ratchet.promotion.registry import Registry

    return Registry(settings)


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add every command of this folder to the CLI."""
    from ratchet.cli import champion as steer
    from ratchet.cli import history as look
    from ratchet.cli import model as use
    from ratchet.cli import serve

    for module in (look, use, steer, serve):
        module.add_to(app, settings_for)
