"""Every part that Ratchet stands on, examined one by one; a finding that is ill says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from ratchet.cli import commands
from ratchet.errors import RatchetError, ServiceUnavailable
from ratchet.jobs import keys, manifests
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Champion
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.promotion.registry import Registry


@dataclass(frozen=True)
class Finding:
    """One part, and whether it is well."""

    well: bool
    part: str
    says: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Store, ledger, MLflow and, on AWS, ECS, each whatever the others say; then what takes two of them."""
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


def diagnosed(findings: Iterable[Finding]) -> Table:
    """Findings as a table, the remedy beside what is ill."""
    table = Table("", "part", "finding", "what to do", title="Ratchet's doctor")
    for finding in findings:
        table.add_row(
            "[green]ok" if finding.well else "[red]ill", finding.part, escape(finding.says), escape(finding.remedy)
        )
    return table


def _store(settings: Settings) -> Finding:
    try:
        storage = open_storage(settings.store)
        made = manifests.find(storage, keys.split(keys.SEED))
    except RatchetError as error:
        return Finding(False, "store", str(error), "Correct RATCHET_STORE, or give --store.")
    if made is None:
        return Finding(True, "store", f"{storage.uri} answers; no batches yet")
    return Finding(True, "store", f"{storage.uri} answers; {made.parameters['batches']} batches")


def _ledger(settings: Settings) -> tuple[Champion | None, Finding]:
    try:
        ledger = commands.ledger(settings)
        champion, rows = ledger.champion(), len(ledger.history())
    except RatchetError as error:
        return None, Finding(False, "ledger", str(error), "Start its database, or correct RATCHET_LEDGER.")
    says = f"{rows} decisions; champion is version {champion.version}" if rows else "empty: nothing was decided yet"
    return champion, Finding(True, "ledger", says)


def _mlflow(settings: Settings) -> tuple[Registry | None, Finding]:
    try:
        registry = commands.registry(settings)
        where = settings.tracking_uri.get_secret_value().rpartition("@")[2]
    except RatchetError as error:
        return None, Finding(False, "MLflow", str(error), "Start its server, or correct RATCHET_TRACKING.")
    return registry, Finding(True, "MLflow", f"answers at {where}")


def _aliases(registry: Registry, version: int) -> Finding:
    try:
        found = registry.aliases().get("champion")
    except RatchetError as error:
        return Finding(False, "aliases", str(error), "Start MLflow's server.")
    says = f"alias champion is version {found}, the ledger says {version}"
    return Finding(found == version, "aliases", says, "" if found == version else "Run `ratchet reconcile`.")


def _artifact(registry: Registry, version: int) -> Finding:
    from ratchet.model import artifact

    try:
        with registry.artifact(version) as folder:
            artifact.load(folder)
    except RatchetError as error:
        away = isinstance(error, ServiceUnavailable)
        return Finding(False, "champion", str(error), "Start MLflow's server." if away else "Run `ratchet rollback`.")
    return Finding(True, "champion", f"version {version} loads, and its bytes are what was trained")


def _ecs() -> Iterator[Finding]:
    """The cluster, the task definition and the log group that Airflow's operator uses, by the names it reads."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    cluster = os.environ.get("RATCHET_ECS_CLUSTER", "ratchet")
    definition = os.environ.get("RATCHET_ECS_TASK_DEFINITION", "ratchet-training")
    group = os.environ.get("RATCHET_ECS_LOG_GROUP", "/ratchet/jobs")
    asked = {
        f"cluster {cluster}": lambda: boto3.client("ecs").describe_clusters(clusters=[cluster])["clusters"],
        f"task definition {definition}": lambda: boto3.client("ecs").describe_task_definition(
            taskDefinition=definition
        )["taskDefinition"],
        f"log group {group}": lambda: boto3.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"],
    }
    for name, ask in asked.items():
        try:
            says = "" if ask() else "there is none of this name"
        except (BotoCoreError, ClientError) as error:
            says = str(error)
        remedy = "Create it, or correct RATCHET_ECS_…: see docs/settings.md." if says else ""
        yield Finding(not says, "ECS", f"{name}: {says or 'answers'}", remedy)
