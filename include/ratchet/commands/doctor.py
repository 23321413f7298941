"""Every part that Ratchet stands on, examined one by one; a finding that is ill says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ratchet import commands, keys, manifests
from ratchet.errors import RatchetError
from ratchet.settings import Settings
from ratchet.storage import open_storage


@dataclass(frozen=True)
class Finding:
    """One part, and whether it is well."""

    well: bool
    part: str
    says: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Store, data, ledger, MLflow, and whether the aliases agree with the ledger."""
    yield _store(settings)
    try:
        ledger = commands.ledger(settings)
        champion = ledger.champion()
        rows = len(ledger.history())
    except RatchetError as error:
        yield Finding(False, "ledger", str(error), "Start Postgres, or correct RATCHET_LEDGER.")
        return
    says = f"{rows} decisions; champion is version {champion.version}" if rows else "empty: nothing was decided yet"
    yield Finding(True, "ledger", says)
    try:
        registry = commands.registry(settings)
        aliases = registry.aliases()
    except RatchetError as error:
        yield Finding(False, "MLflow", str(error), "Start its server, or correct RATCHET_TRACKING.")
        return
    yield Finding(True, "MLflow", f"answers at {settings.tracking_uri.split('@')[-1]}")
    if champion.version is None:
        return
    agrees = aliases.get("champion") == champion.version
    says = f"alias champion is version {aliases.get('champion')}, the ledger says {champion.version}"
    yield Finding(agrees, "aliases", says, "" if agrees else "Run `ratchet reconcile`.")
    yield _artifact(registry, champion.version)


def _store(settings: Settings) -> Finding:
    try:
        storage = open_storage(settings.store)
        made = manifests.find(storage, keys.split(keys.SEED))
    except RatchetError as error:
        return Finding(False, "store", str(error), "Correct RATCHET_STORE, or give --store.")
    if made is None:
        return Finding(True, "store", f"{storage.uri} answers; no batches yet")
    return Finding(True, "store", f"{storage.uri} answers; {made.parameters['batches']} batches")


def _artifact(registry, version: int) -> Finding:
    from ratchet.model import artifact

    try:
        with registry.artifact(version) as folder:
            artifact.load(folder)
    except RatchetError as error:
        return Finding(False, "champion", str(error), "Run `ratchet rollback`.")
    return Finding(True, "champion", f"version {version} loads, and its bytes are what was trained")
