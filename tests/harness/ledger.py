"""Rows of a ledger, for tests about those who read it."""

from __future__ import annotations

from ratchet.ledger.decision import Evidence, GatePolicy, GateRecord, Verdict


def gate_record(version: int | None, model_digest: str) -> GateRecord:
    """The gate's record of a version of which only the digest matters."""
    evidence = Evidence(
        window="0-0", candidate="linear-svc", version=version, model_digest=model_digest, champion_epoch=0,
        champion_version=None, test_digest="0" * 64, outcomes=[[[0, 0], [0, 0]]] * 2,
    )  # fmt: skip
    return GateRecord(evidence=evidence, policy=GatePolicy(), verdict=Verdict(promote=True, checks=[]))
