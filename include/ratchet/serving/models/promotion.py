"""The champion by the ledger: which version, since when, why, and the digest of its model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ratchet.errors import LedgerError
from ratchet.ledger.store import Ledger


class Promotion(BaseModel):
    """How a version became champion; after a rollback, when and why it became champion again."""

    model_config = ConfigDict(frozen=True)

    version: int
    epoch: int = Field(description="How many times the champion had changed by then.")
    window: str
    candidate: str
    model_digest: str = Field(description="SHA-256 of the model, from the evidence of its promotion.")
    decision: int = Field(description="The decision's id in the ledger.")
    promoted_at: str = Field(description="UTC, ISO 8601.")
    promoted_by: str
    reasons: list[str]


def latest(ledger: Ledger) -> Promotion | None:
    """The promotion or rollback that made the present champion, or None before the first promotion.

    Raises LedgerError if the ledger has no evidence for that version, and so no digest of its model.
    """
    history = ledger.history()
    made, judged = history.champion_decision, history.judged_by
    if made is None or made.version is None or made.id is None:
        return None
    if judged is None or judged.evidence is None:
        raise LedgerError(f"The ledger has no evidence for version {made.version}. See `ratchet history`.")
    return Promotion(
        version=made.version,
        epoch=made.epoch,
        window=judged.window,
        candidate=judged.candidate,
        model_digest=judged.evidence.model_digest,
        decision=made.id,
        promoted_at=made.decided_at,
        promoted_by=made.decided_by,
        reasons=made.reasons,
    )
