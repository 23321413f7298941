"""Check every service that Ratchet depends on, one by one: `doctor`. A failed check has a remedy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratchet.cli import connections, panels
from ratchet.errors import RatchetError, ServiceUnavailable
from ratchet.jobs import keys, manifests
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Champion
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.promotion.registry import Registry

console = Console()


@dataclass(frozen=True)
class Finding:
    """The result of checking one part; `remedy` is the next step if it is not ok."""

    ok: bool
    part: str
    message: str
    remedy: str = ""


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    """Add the command of this module."""

    @app.command(rich_help_panel=panels.MAINTENANCE)
    def doctor(store: panels.Store = None) -> None:
        """Check store, ledger, MLflow and ECS, and say what to do about each failure."""
        findings = list(examine(settings_for(store)))
        console.print(table_of(findings))
        if not all(finding.ok for finding in findings):
            raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Check store, ledger, MLflow and, on AWS, ECS independently; then aliases and champion, which need two of them."""
    yield _store(settings)
    champion, finding = _ledger(settings)
    yield finding
    registry, finding = _mlflow(settings)
    yield finding
    if champion and registry and champion.version is not None:
        yield _aliases(registry, champion.version)
        yield _artifact(registry, champion.version)
    if settings.store.startswith("s3://"):
        yield from _ecs()


def table_of(findings: Iterable[Finding]) -> Table:
    """Findings as a table, with the remedy of each failure."""
    table = Table("", "part", "finding", "what to do", title="Ratchet's doctor")
    for finding in findings:
        status = "[green]ok" if finding.ok else "[red]failed"
        table.add_row(status, finding.part, escape(finding.message), escape(finding.remedy))
    return table


def _store(settings: Settings) -> Finding:
    try:
        storage = open_storage(settings.store)
        storage.list(keys.manifest(keys.split(keys.SEED)))  # unlike a read, it fails if there is no such bucket
        made = manifests.find(storage, keys.split(keys.SEED))
    except RatchetError as error:
        return Finding(False, "store", str(error), "Correct RATCHET_STORE, or give --store.")
    if made is None:
        return Finding(True, "store", f"{storage.uri} is reachable; no batches yet")
    return Finding(True, "store", f"{storage.uri} is reachable; {made.parameters['batches']} batches")


def _ledger(settings: Settings) -> tuple[Champion | None, Finding]:
    try:
        ledger = connections.ledger(settings)
        champion, rows = ledger.champion(), len(ledger.history())
    except RatchetError as error:
        return None, Finding(False, "ledger", str(error), "Start its database, or correct RATCHET_LEDGER.")
    message = f"{rows} decisions; champion is version {champion.version}" if rows else "no decision yet"
    return champion, Finding(True, "ledger", message)


def _mlflow(settings: Settings) -> tuple[Registry | None, Finding]:
    try:
        registry = connections.registry(settings)
        address = settings.tracking_uri.get_secret_value().rpartition("@")[2]
    except RatchetError as error:
        return None, Finding(False, "MLflow", str(error), "Start its server, or correct RATCHET_TRACKING.")
    return registry, Finding(True, "MLflow", f"reachable at {address}")


def _aliases(registry: Registry, version: int) -> Finding:
    try:
        found = registry.aliases().get("champion")
    except RatchetError as error:
        return Finding(False, "aliases", str(error), "Start MLflow's server.")
    message = f"the alias champion is version {found}, the ledger's champion is version {version}"
    return Finding(found == version, "aliases", message, "" if found == version else "Run `ratchet reconcile`.")


def _artifact(registry: Registry, version: int) -> Finding:
    from ratchet.model import artifact

    try:
        with registry.artifact(version) as folder:
            artifact.load(folder)
    except RatchetError as error:
        unreachable = isinstance(error, ServiceUnavailable)
        remedy = "Start MLflow's server." if unreachable else f"Run `ratchet rollback --from {version}`."
        return Finding(False, "champion", str(error), remedy)
    return Finding(True, "champion", f"version {version} loads, and its bytes are what was trained")


def _ecs() -> Iterator[Finding]:
    """The cluster, the task definition and the log group that Airflow's operator uses, by the names it reads."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    cluster = os.environ.get("RATCHET_ECS_CLUSTER", "ratchet")
    definition = os.environ.get("RATCHET_ECS_TASK_DEFINITION", "ratchet-training")
    group = os.environ.get("RATCHET_ECS_LOG_GROUP", "/ratchet/jobs")
    requests: dict[str, Callable[[], Any]] = {
        f"cluster {cluster}": lambda: boto3.client("ecs").describe_clusters(clusters=[cluster])["clusters"],
        f"task definition {definition}": lambda: boto3.client("ecs").describe_task_definition(
            taskDefinition=definition
        )["taskDefinition"],
        f"log group {group}": lambda: boto3.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"],
    }
    for name, request in requests.items():
        try:
            problem = "" if request() else "there is none of this name"
        except (BotoCoreError, ClientError) as error:
            problem = str(error)
        remedy = "Create it, or correct the variables RATCHET_ECS_*: see docs/settings.md." if problem else ""
        yield Finding(not problem, "ECS", f"{name}: {problem or 'found'}", remedy)
