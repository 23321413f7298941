"""Make an earlier champion champion again: a decision of a person, by the same compare-and-set as a promotion."""

from __future__ import annotations

from ratchet.errors import LedgerError
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.model.registry_tags import CHAMPION
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings


def rollback(
    ledger: Ledger, registry: Registry, settings: Settings, *, to: int | None, by: str, serving: int | None = None
) -> Decision:
    """Make version `to` champion again, or by default the version that the present champion replaced.

    `serving` is the version that the caller believes to be champion. With it, the same rollback twice is one decision,
    and a rollback of a version that is not champion is refused. Without it, and without `to`, a rollback directly after
    another rollback is refused, because two people who react to one alarm would go two versions back.

    A rollback that was killed before MLflow followed is finished first. Raises LedgerError if there is no such version,
    if it was never champion, or for the refusals above; ArtifactError if its model does not load. Nothing is written
    then.
    """
    history, champion = ledger.history(), ledger.champion()
    followed = CHAMPION in registry.reconcile(ledger)
    if _is_done(history, to, serving, followed=followed):
        return history[-1]
    if champion.version is None:
        raise LedgerError("There is no champion yet, so there is nothing to roll back.")
    _refuse_a_surprise(history, champion.version, to, serving)
    version = _target(history, champion.version, to)
    from ratchet.model import artifact

    with registry.artifact(version) as folder:
        artifact.load(folder)
    decision = Decision(
        subject=f"rollback/{champion.epoch}",
        action="rollback",
        version=version,
        previous=champion.version,
        reasons=[f"rolled back from version {champion.version} by hand"],
        decided_by=by,
        code_version=settings.code_version,
    )
    recorded = ledger.record(decision, champion)
    registry.reconcile(ledger)
    return recorded


def _is_done(history: DecisionHistory, to: int | None, serving: int | None, *, followed: bool) -> bool:
    """Whether the last decision is the rollback that the caller asks for.

    `followed` is whether MLflow's alias has followed the ledger only now, because that rollback was killed.
    """
    if not history or history[-1].action != "rollback":
        return False
    last = history[-1]
    return to in (None, last.version) and (followed if serving is None else serving == last.previous)


def _refuse_a_surprise(history: DecisionHistory, champion: int, to: int | None, serving: int | None) -> None:
    """Raise LedgerError if the caller seems not to know which version serves."""
    last = history[-1] if history else None
    if serving is not None and serving != champion:
        since = history.champion_decision
        by = f", since decision {since.id} by {since.decided_by} at {since.decided_at[:19]} UTC" if since else ""
        raise LedgerError(f"Version {serving} is not the champion: version {champion} is{by}. Nothing was changed.")
    if serving is None and to is None and last is not None and last.action == "rollback":
        raise LedgerError(
            f"Version {last.previous} was rolled back to version {last.version} by {last.decided_by} at "
            f"{last.decided_at[:19]} UTC (decision {last.id}), and nothing was decided since. Nothing was changed. "
            f"If version {champion} is to go, too, say so with --from {champion}."
        )


def _target(history: DecisionHistory, champion: int, to: int | None) -> int:
    """The version to go back to. Raises LedgerError if there is none, or if it is no former champion."""
    version = to if to is not None else history.predecessor(champion)
    if version is None:
        raise LedgerError(
            f"Version {champion} replaced no other champion, so there is no version to roll back to. "
            "Name one with --to: `ratchet history` lists all of them."
        )
    if version not in history.promoted:
        former = ", ".join(map(str, sorted(history.promoted)))
        raise LedgerError(f"Version {version} was never champion. Choose one of: {former}.")
    if version == champion:
        raise LedgerError(f"Version {version} is the champion already.")
    return version
