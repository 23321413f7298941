"""The champion as the ledger tells it: which version, since when, why, and on which bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ratchet.errors import LedgerError
from ratchet.ledger.store import Ledger


class Promotion(BaseModel):
    """How a version became champion; after a rollback, when and why it became so again."""

    model_config = ConfigDict(frozen=True)

    version: int
    epoch: int = Field(description="How many times the champion had changed by then.")
    window: str
    candidate: str
    model_digest: str = Field(description="SHA-256 that the evidence of its promotion names the model by.")
    decision: int = Field(description="The decision's id in the ledger.")
    promoted_at: str = Field(description="UTC, ISO 8601.")
    promoted_by: str
    reasons: list[str]


def latest(ledger: Ledger) -> Promotion | None:
    """The decision that made the present champion, or None before the first promotion.

    Raises LedgerError if no evidence says which bytes that is.
    """
    moves = [row for row in ledger.history() if row.action != "keep"]
    if not moves:
        return None
    last = moves[-1]
    judged = next((row for row in reversed(moves) if row.version == last.version and row.evidence), None)
    if judged is None:
        raise LedgerError(f"The ledger has no evidence for version {last.version}. See `ratchet history`.")
    return Promotion(
        version=last.version,
        epoch=last.epoch,
        window=judged.window,
        candidate=judged.candidate,
        model_digest=judged.evidence["evidence"]["model_digest"],
        decision=last.id,
        promoted_at=last.decided_at,
        promoted_by=last.decided_by,
        reasons=last.reasons,
    )
