"""The ledger and the registry that the settings name, for commands that are not jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratchet.ledger.store import Ledger
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.promotion.registry import Registry


def ledger(settings: Settings) -> Ledger:
    """The ledger, connected on first use."""
    return Ledger(settings.ledger_url, settings.registered_model)


def registry(settings: Settings) -> Registry:
    """MLflow's registry; imported late, because MLflow takes a second to import."""
    from ratchet.promotion.registry import Registry

    return Registry(settings)
