"""Turn a verdict into a decision: first the ledger, by compare-and-set, then MLflow's aliases, which follow it."""

from __future__ import annotations

from typing import Literal

import structlog

from ratchet.errors import LedgerError
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.storage import verified
from ratchet.ledger.approval import Answer
from ratchet.ledger.store import Champion, Decision, Ledger, rejected_in, withdrawn_in
from ratchet.promotion.gate import EVIDENCE, Evidence, Policy, Verdict, decide
from ratchet.promotion.registry import CHAMPION, Registry
from ratchet.settings import Settings
from ratchet.windows import Window

log = structlog.get_logger()


def promote(
    context: JobContext,
    window: Window,
    registry: Registry,
    ledger: Ledger,
    settings: Settings,
    answer: Answer | None = None,
) -> Decision:
    """Decide on a window's challenger and carry it out. Killed at any point, a second run ends in the same state.

    A person's answer is recorded, too, and once: a rejection keeps the champion, an approval leaves it to the gate.
    Raises LedgerError for a rejection that comes too late, after it is recorded.
    """
    evaluated = context.read(keys.evaluation(window), f"ratchet evaluate --window {window}")
    key = f"{evaluated.prefix}/{EVIDENCE}"
    with verified(context.storage, key, evaluated.output(EVIDENCE).sha256) as path:
        evidence = Evidence.model_validate_json(path.read_text())
    policy = Policy()
    verdict = decide(evidence, policy)
    subject = f"{window}/{evaluated.digest[:16]}"
    decision = _record(ledger, evidence, policy, verdict, answer, subject=subject, settings=settings)
    moved = registry.reconcile(ledger)
    if evidence.version is not None:
        tags = {"decision": decision.action, "reasons": "; ".join(decision.reasons)}
        registry.note(evidence.version, tags, {"f1_difference": verdict.f1_difference})
    log.info("decided", action=decision.action, version=decision.version, reasons=decision.reasons, moved=moved)
    context.metrics.update(f1_difference=verdict.f1_difference, p_value=verdict.p_value)
    context.details = PromoteDetails(
        decision=decision.id, action=decision.action, version=decision.version, champion=decision.champion,
        reasons=decision.reasons, checks=[check.model_dump() for check in verdict.checks],
        approval=answer.words if answer else "",
    )  # fmt: skip
    if _too_late(decision):
        raise LedgerError(
            f"Version {decision.version} is champion already, so that it was {answer.words} changes nothing "
            f"(decision {decision.id}). `ratchet rollback` takes it out of service."
        )
    return decision


def _too_late(decision: Decision) -> bool:
    """Whether a person rejected what serves; nobody shall believe that this took it out of service."""
    rejected = decision.answer is not None and decision.answer.says == "reject"
    return rejected and decision.version is not None and decision.version == decision.champion


def _record(
    ledger: Ledger,
    evidence: Evidence,
    policy: Policy,
    verdict: Verdict,
    answer: Answer | None,
    *,
    subject: str,
    settings: Settings,
) -> Decision:
    """Append the decision. If the champion changed since the evaluation, the evidence is about the past: keep."""
    subject = f"{subject}/{answer.identity}" if answer else subject
    known = ledger.find(subject)
    if known:
        return known
    history = ledger.history()
    withdrawn, rejected = withdrawn_in(history, evidence.version), rejected_in(history, evidence.version)
    action, reasons = _concluded(evidence, verdict, withdrawn, rejected, answer)
    decision = Decision(
        subject=subject,
        action=action,
        version=evidence.version,
        previous=evidence.champion_version,
        window=evidence.window,
        candidate=evidence.candidate,
        reasons=reasons,
        evidence={
            "evidence": evidence.model_dump(mode="json"),
            "policy": policy.model_dump(mode="json"),
            "verdict": verdict.model_dump(mode="json"),
            "withdrawn": withdrawn,
            "rejected": rejected,
        },
        decided_by=answer.by if answer and answer.says == "reject" else "the gate",
        answer=answer,
        dag_run=settings.dag_run,
        code_version=settings.code_version,
    )
    measured_against = Champion(epoch=evidence.champion_epoch, version=evidence.champion_version)
    try:
        return ledger.record(decision, measured_against)
    except LedgerError:
        log.warning("champion moved since the evaluation", evaluated_against=measured_against.version)
        present = ledger.champion()
        late = {"action": "keep", "previous": present.version, "reasons": _late(evidence, present.version, answer)}
        return ledger.record(decision.model_copy(update=late), present)


def _concluded(
    evidence: Evidence, verdict: Verdict, withdrawn: int | None, rejected: int | None, answer: Answer | None
) -> tuple[Literal["promote", "keep"], list[str]]:
    """What verdict and answer come to, and why: nobody is promoted twice, nor against a person's word.

    The answer can only keep back. What the gate refuses, or a rollback withdrew, no approval promotes.
    """
    said = [answer.words] if answer else []
    if evidence.version is not None and evidence.version == evidence.champion_version:
        return "keep", ["it already is the champion", *said]
    if answer and answer.says == "reject":
        return "keep", [*said, *([] if verdict.promote else verdict.reasons)]
    if verdict.promote and withdrawn is not None:
        return "keep", [f"version {evidence.version} was withdrawn in decision {withdrawn}", *said]
    if verdict.promote and rejected is not None and answer is None:
        return "keep", [f"version {evidence.version} was rejected in decision {rejected}"]
    return "promote" if verdict.promote else "keep", [*verdict.reasons, *said]


def _late(evidence: Evidence, present: int | None, answer: Answer | None) -> list[str]:
    """Why to keep when the champion is no longer the one that was measured against, but version `present`."""
    said = [answer.words] if answer else []
    if evidence.version is not None and evidence.version == present:
        return ["it already is the champion", *said]
    return [
        f"The champion moved on from epoch {evidence.champion_epoch} (version {evidence.champion_version}) since this "
        "was evaluated: the evidence is about the past",
        *said,
    ]


def rollback(ledger: Ledger, registry: Registry, settings: Settings, *, to: int | None, by: str) -> Decision:
    """Make an earlier champion champion again: the given version, or the one that the present champion replaced.

    So rollbacks walk backwards through the promotions. One that was killed before MLflow followed is finished first.
    Raises LedgerError if there is none, or if the version was never champion; ArtifactError if it does not load.
    """
    history, champion = ledger.history(), ledger.champion()
    if CHAMPION in registry.reconcile(ledger) and history[-1].action == "rollback" and to in (None, champion.version):
        return history[-1]
    once = {decision.version: decision.previous for decision in history if decision.action == "promote"}
    version = to if to is not None else once.get(champion.version)
    if version is None:
        raise LedgerError(
            f"Version {champion.version} replaced no other champion, so there is none to roll back to. "
            "Name one with --to: `ratchet history` lists all of them."
        )
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
    """Compute the verdict again from what the ledger keeps, and whether checks, action and reasons follow from it.

    The figures are only kept: another processor may differ in their last digit. Raises LedgerError without evidence.
    """
    if "verdict" not in decision.evidence:
        raise LedgerError(f"Decision {decision.id} has no evidence to replay: it was made by hand, or before 0.1.")
    evidence = Evidence(**decision.evidence["evidence"])
    verdict = decide(evidence, Policy(**decision.evidence["policy"]))
    then = Verdict(**decision.evidence["verdict"])
    withdrawn, rejected = decision.evidence["withdrawn"], decision.evidence.get("rejected")
    concluded = _concluded(evidence, verdict, withdrawn, rejected, decision.answer)
    if decision.action == "keep" and decision.epoch != evidence.champion_epoch:
        present = decision.previous if "rejected" in decision.evidence else None  # rows from before did not look
        concluded = "keep", _late(evidence, present, decision.answer)
    return verdict, (then.checks, decision.action, decision.reasons) == (verdict.checks, *concluded)
