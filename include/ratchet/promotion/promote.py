"""Turn a verdict into a decision: first in the ledger, by compare-and-set, then MLflow's aliases, which follow it."""

from __future__ import annotations

from typing import Literal

import structlog

from ratchet.errors import LedgerError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.storage import verified
from ratchet.ledger.approval import Approval
from ratchet.ledger.decision import Decision, Evidence, GatePolicy, GateRecord, Verdict
from ratchet.ledger.store import Champion, Ledger
from ratchet.promotion.gate import EVIDENCE, decide
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings
from ratchet.windows import Window

log = structlog.get_logger()


def promote(
    context: JobContext,
    window: Window,
    registry: Registry,
    ledger: Ledger,
    settings: Settings,
    approval: Approval | None = None,
) -> Decision:
    """Decide on a window's challenger and carry it out. Killed at any point, a second run ends in the same state.

    A person's approval is recorded once, too: a rejection keeps the champion, an approval leaves it to the gate.
    Raises LedgerError for the rejection of a version that is champion already, after that is recorded; MissingInput
    without an evaluation of this window.
    """
    evaluated = context.read(keys.evaluation(window), f"ratchet evaluate --window {window}")
    key = f"{evaluated.prefix}/{EVIDENCE}"
    with verified(context.storage, key, evaluated.output(EVIDENCE).sha256) as path:
        evidence = Evidence.model_validate_json(path.read_text())
    policy = GatePolicy()
    verdict = decide(evidence, policy)
    gate = GateRecord(evidence=evidence, policy=policy, verdict=verdict)
    decision = _record(ledger, gate, approval, subject=f"{window}/{evaluated.digest[:16]}", settings=settings)
    moved = registry.reconcile(ledger)
    if evidence.version is not None:
        tags = {"decision": decision.action, "reasons": "; ".join(decision.reasons)}
        registry.note(evidence.version, tags, {"f1_difference": verdict.f1_difference})
    log.info("decided", action=decision.action, version=decision.version, reasons=decision.reasons, moved=moved)
    context.metrics.update(f1_difference=verdict.f1_difference, p_value=verdict.p_value)
    context.details = PromoteDetails(
        decision=decision.id, action=decision.action, version=decision.version, champion=decision.champion,
        reasons=decision.reasons, checks=[check.model_dump() for check in verdict.checks],
        approval=approval.summary if approval else "",
    )  # fmt: skip
    if decision.approval and _rejects_champion(decision):
        raise LedgerError(
            f"Version {decision.version} is champion already: that it was {decision.approval.summary} is recorded in "
            f"decision {decision.id}, but it still serves. `ratchet rollback --from {decision.version}` takes "
            "it out of service."
        )
    return decision


def _rejects_champion(decision: Decision) -> bool:
    """Whether a person rejected the version that serves, which does not take it out of service."""
    rejected = decision.approval is not None and decision.approval.response == "reject"
    return rejected and decision.version is not None and decision.version == decision.champion


def _record(
    ledger: Ledger, gate: GateRecord, approval: Approval | None, *, subject: str, settings: Settings
) -> Decision:
    """Append the decision. If the champion changed since the evaluation, the evidence is outdated: keep."""
    subject = f"{subject}/{approval.identity}" if approval else subject
    known = ledger.find(subject)
    if known:
        return known
    history, evidence = ledger.history(), gate.evidence
    before = {"withdrawn": history.withdrawn_in(evidence.version), "rejected": history.rejected_in(evidence.version)}
    gate = gate.model_copy(update=before)
    action, reasons = _conclusion(gate, gate.verdict, approval)
    decision = Decision(
        subject=subject,
        action=action,
        version=evidence.version,
        previous=evidence.champion_version,
        window=evidence.window,
        candidate=evidence.candidate,
        reasons=reasons,
        gate=gate,
        decided_by=approval.by if approval and approval.response == "reject" else "the gate",
        approval=approval,
        dag_run=settings.dag_run,
        code_version=settings.code_version,
    )
    measured_against = Champion(epoch=evidence.champion_epoch, version=evidence.champion_version)
    try:
        return ledger.record(decision, measured_against)
    except LedgerError:
        log.warning("champion moved since the evaluation", evaluated_against=measured_against.version)
        present = ledger.champion()
        reasons = _outdated_reasons(evidence, present.version, approval)
        outdated = {"action": "keep", "previous": present.version, "reasons": reasons}
        return ledger.record(decision.model_copy(update=outdated), present)


def _conclusion(
    gate: GateRecord, verdict: Verdict, approval: Approval | None
) -> tuple[Literal["promote", "keep"], list[str]]:
    """Action and reasons that follow from verdict and approval.

    A version is not promoted twice, nor after a rejection. An approval promotes nothing by itself: what the gate
    refuses, or a rollback withdrew, stays back.
    """
    evidence = gate.evidence
    approved = [approval.summary] if approval else []
    if evidence.version is not None and evidence.version == evidence.champion_version:
        return "keep", ["it already is the champion", *approved]
    if approval and approval.response == "reject":
        return "keep", [*approved, *([] if verdict.promote else verdict.reasons)]
    if verdict.promote and gate.withdrawn is not None:
        return "keep", [f"version {evidence.version} was withdrawn in decision {gate.withdrawn}", *approved]
    if verdict.promote and gate.rejected is not None and approval is None:
        return "keep", [f"version {evidence.version} was rejected in decision {gate.rejected}"]
    return "promote" if verdict.promote else "keep", [*verdict.reasons, *approved]


def _outdated_reasons(evidence: Evidence, present: int | None, approval: Approval | None) -> list[str]:
    """The reasons to keep the champion if it is now version `present`, not the one in the evidence."""
    approved = [approval.summary] if approval else []
    if evidence.version is not None and evidence.version == present:
        return ["it already is the champion", *approved]
    return [
        f"The champion moved on from epoch {evidence.champion_epoch} (version {evidence.champion_version}) since this "
        "was evaluated: the evidence is about the past",
        *approved,
    ]


def replay(decision: Decision) -> tuple[Verdict, bool]:
    """Compute the verdict again from the ledger's row, and whether its checks, action and reasons follow from it.

    The figures of the verdict are not compared: another processor may differ in their last digit. Raises LedgerError
    for a decision without evidence.
    """
    gate = decision.gate
    if gate is None:
        raise LedgerError(f"Decision {decision.id} has no evidence to replay: it was made by hand.")
    verdict = decide(gate.evidence, gate.policy)
    conclusion = _conclusion(gate, verdict, decision.approval)
    if decision.action == "keep" and decision.epoch != gate.evidence.champion_epoch:
        present = decision.previous if gate.knows_present_champion else None
        conclusion = "keep", _outdated_reasons(gate.evidence, present, decision.approval)
    return verdict, (gate.verdict.checks, decision.action, decision.reasons) == (verdict.checks, *conclusion)
