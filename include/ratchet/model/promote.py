"""Turn a verdict into a decision: first the ledger, by compare-and-set, then MLflow's aliases, which follow it."""

from __future__ import annotations

import structlog

from ratchet import keys
from ratchet.errors import LedgerError
from ratchet.jobs import Work
from ratchet.ledger import Champion, Decision, Ledger
from ratchet.model.decide import EVIDENCE, Evidence, Policy, Verdict, decide
from ratchet.model.registry import Registry, previous_champion
from ratchet.settings import Settings
from ratchet.storage import verified
from ratchet.windows import Window

log = structlog.get_logger()


def promote(work: Work, window: Window, registry: Registry, ledger: Ledger, settings: Settings) -> Decision:
    """Decide on a window's challenger and carry it out. Killed at any point, a second run ends in the same state."""
    evaluated = work.read(keys.evaluation(window), f"ratchet evaluate --window {window}")
    key = f"{evaluated.room}/{EVIDENCE}"
    with verified(work.storage, key, evaluated.output(EVIDENCE).sha256) as path:
        evidence = Evidence.model_validate_json(path.read_text())
    policy = Policy()
    verdict = decide(evidence, policy)
    decision = _record(
        ledger, evidence, policy, verdict, subject=f"{window}/{evaluated.digest[:16]}", settings=settings
    )
    moved = registry.reconcile(ledger)
    if evidence.version is not None:
        tags = {"decision": decision.action, "reasons": "; ".join(decision.reasons)}
        registry.note(evidence.version, tags, {"f1_difference": verdict.f1_difference})
    log.info("decided", action=decision.action, version=decision.version, reasons=decision.reasons, moved=moved)
    work.metrics.update(f1_difference=verdict.f1_difference, p_value=verdict.p_value)
    work.details.update(
        decision=decision.id, action=decision.action, version=decision.version, champion=decision.champion,
        reasons=decision.reasons, checks=[check.model_dump() for check in verdict.checks],
    )  # fmt: skip
    return decision


def _record(
    ledger: Ledger, evidence: Evidence, policy: Policy, verdict: Verdict, *, subject: str, settings: Settings
) -> Decision:
    """Append the decision. If the champion changed since the evaluation, the evidence is about the past: keep."""
    known = ledger.find(subject)
    if known:
        return known
    same = evidence.version is not None and evidence.version == evidence.champion_version
    decision = Decision(
        subject=subject,
        action="promote" if verdict.promote and not same else "keep",
        version=evidence.version,
        previous=evidence.champion_version,
        window=evidence.window,
        candidate=evidence.candidate,
        reasons=["it already is the champion"] if same else verdict.reasons,
        evidence={"evidence": evidence.model_dump(mode="json"), "policy": policy.model_dump(mode="json")},
        dag_run=settings.dag_run,
        code_version=settings.code_version,
    )
    measured_against = Champion(epoch=evidence.champion_epoch, version=evidence.champion_version)
    try:
        return ledger.record(decision, measured_against)
    except LedgerError as moved:
        log.warning("champion moved since the evaluation", evaluated_against=measured_against.version)
        present = ledger.champion()
        reasons = [f"{moved}".split(".")[0] + ": the evidence is about the past"]
        stale = decision.model_copy(update={"action": "keep", "previous": present.version, "reasons": reasons})
        return ledger.record(stale, present)


def rollback(ledger: Ledger, registry: Registry, settings: Settings, *, to: int | None, by: str) -> Decision:
    """Make an earlier champion champion again: the given version, or the one before the present.

    Raises LedgerError if there is none, or if the version was never champion; ArtifactError if it does not load.
    """
    champion = ledger.champion()
    once = {decision.version for decision in ledger.history() if decision.action == "promote"}
    version = to if to is not None else previous_champion(ledger)
    if version is None:
        raise LedgerError("There is no earlier champion to roll back to. `ratchet history` lists all of them.")
    if version not in once:
        raise LedgerError(f"Version {version} was never champion. Choose one of: {', '.join(map(str, sorted(once)))}.")
    if version == champion.version:
        raise LedgerError(f"Version {version} is the champion already.")
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


def replay(decision: Decision) -> tuple[Verdict, bool]:
    """Compute the verdict again from what the ledger keeps, and whether the decision follows from it.

    A verdict to promote was rightly kept back if the champion had moved on since. Raises LedgerError without evidence.
    """
    if not decision.evidence:
        raise LedgerError(f"Decision {decision.id} was made by hand and has no evidence to replay.")
    evidence = Evidence(**decision.evidence["evidence"])
    verdict = decide(evidence, Policy(**decision.evidence["policy"]))
    if decision.action == "keep" and decision.epoch != evidence.champion_epoch:
        return verdict, True
    return verdict, verdict.promote == (decision.action == "promote")
