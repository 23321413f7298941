"""The command `migrate`: upgrades databases, manifests and tags that earlier code wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
import typer
from pydantic import SecretStr
from rich.console import Console

from ratchet.cli import connections, panels
from ratchet.db.schema import LEDGER, PREDICTION_LOG, Schema, upgrade
from ratchet.errors import ServiceUnavailable
from ratchet.jobs import manifests
from ratchet.jobs.storage import open_storage
from ratchet.serving.settings import ServingSettings
from ratchet.settings import Settings

console = Console()
panel: dict[str, Any] = {"rich_help_panel": panels.MAINTENANCE}
DATABASES = ("postgresql", "sqlite")


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add this command to the CLI. `settings_for` gives the settings for the option --store."""

    @app.command(**panel)
    def migrate(store: panels.Store = None) -> None:
        """Upgrade the databases of ledger and prediction log, and old names in manifests and MLflow. Safe to repeat."""
        for line in steps(settings_for(store)):
            console.print(line, markup=False, highlight=False)


def steps(settings: Settings) -> Iterator[str]:
    """Run the steps in order and yield a line on the result of each. Raises ServiceUnavailable if a service is down."""
    yield _database(LEDGER, settings.ledger_url)
    log = ServingSettings(store=settings.store).serving_log
    if not log.get_secret_value() or log.get_secret_value().startswith(DATABASES):
        yield _database(PREDICTION_LOG, log if log.get_secret_value() else settings.ledger_url)
    yield f"manifests: {manifests.migrate(open_storage(settings.store))} rewritten"
    yield f"MLflow: {connections.registry(settings).migrate()} runs and versions tagged anew"


def _database(schema: Schema, url: SecretStr) -> str:
    engine = sa.create_engine(url.get_secret_value(), poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            applied = upgrade(connection, schema)
    except sa.exc.OperationalError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise ServiceUnavailable(f"The database at {where} did not answer: {error.orig}. Start it.") from error
    return f"{schema.name}: " + (f"revisions {', '.join(applied)} applied" if applied else "up to date")
