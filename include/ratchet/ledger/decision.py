"""A decision about the champion: the evidence, the gate's verdict on it, and the conclusion.

These models are rows of the ledger. Rows are never changed, so a renamed field still reads its former name, through a
validation alias; only the present name is written.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from ratchet.ledger.approval import Approval

Table = list[list[list[int]]]
"""Counts of reviews by [label][champion's prediction][challenger's prediction], each 0 or 1: shape (2, 2, 2)."""


class Check(BaseModel):
    """One check of a policy and its result."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    message: str = Field(
        validation_alias=AliasChoices("message", "says"), description="Rows written before 0.1 call it `says`."
    )
    decisive: bool = Field(False, description="Whether it is a reason for a promotion, not only a precondition.")


class GatePolicy(BaseModel):
    """The thresholds of the gate. Versioned code, so that a change is a reviewed commit."""

    model_config = ConfigDict(frozen=True)

    significance: float = 0.05
    resamples: int = 10_000
    floor: float = Field(0.70, description="Smallest macro-F1 on the test set of any champion; chance gives 0.5.")
    slice_margin: float = Field(
        0.02, description="Macro-F1 that no slice may lose against the champion, beyond chance."
    )
    slice_rows: int = Field(200, description="Slices with fewer rows are not judged: chance dominates their scores.")
    calibration: float = Field(0.04, description="Largest calibration error on the test set, beyond chance.")
    leak_margin: float = Field(0.05, description="Accuracy on the test set above validation that hints at a leak.")


class Evidence(BaseModel):
    """The measurements of a challenger and the champion of that moment, on one test set."""

    model_config = ConfigDict(frozen=True)

    window: str
    candidate: str
    version: int | None = Field(description="Model version of the challenger; None if it could not be registered.")
    model_digest: str
    champion_epoch: int
    champion_version: int | None
    test_digest: str = Field(description="Digest of the test set; both models were scored on it in the same job.")
    outcomes: Table = Field(
        description="Counts on the whole test set. Without a champion its predictions repeat the challenger's."
    )
    slices: dict[str, Table] = {}
    metrics: dict[str, float] = Field(default={}, description="Metrics of the challenger on the test set.")
    champion_metrics: dict[str, float] = {}
    validation: dict[str, float] = Field(default={}, description="Metrics on its validation part.")
    validation_rows: int = 0
    compared: dict[str, float] = Field(default={}, description="Validation macro-F1 of each candidate of this week.")
    artifact_problem: str = Field("", description="Why the artifact does not load or predict in a fresh process.")
    lineage_problem: str = Field("", description="Why its training data are not batches 0..k alone.")


class Verdict(BaseModel):
    """Promote or keep, with every check and the figures they rest on."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    checks: list[Check]
    f1_difference: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)
    p_value: float = 1.0

    @property
    def reasons(self) -> list[str]:
        """The messages of the decisive checks for a promotion, otherwise those of all failed checks."""
        return [check.message for check in self.checks if (check.decisive if self.promote else not check.passed)]


class GateRecord(BaseModel):
    """Everything that a decision of the gate was computed from, with the verdict: enough to replay it."""

    model_config = ConfigDict(frozen=True)

    evidence: Evidence
    policy: GatePolicy
    verdict: Verdict
    withdrawn: int | None = Field(None, description="Id of the rollback that withdrew the version before.")
    rejected: int | None = Field(
        None, description="Id of the decision in which a person rejected the version before; older rows have no field."
    )

    @property
    def knows_present_champion(self) -> bool:
        """Whether the reasons of an outdated decision consider the present champion; those of the oldest do not."""
        return "rejected" in self.model_fields_set


class Decision(BaseModel):
    """One row of the ledger: an action on a version, with its author, reasons and evidence."""

    model_config = ConfigDict(frozen=True)

    id: int | None = None
    epoch: int = Field(0, description="The champion's epoch after this decision.")
    subject: str = Field(description="The subject of the decision; a second decision on the same subject is refused.")
    action: Literal["promote", "keep", "rollback"]
    version: int | None = Field(description="The model version judged or rolled back to; None if never registered.")
    previous: int | None = Field(description="The champion's version before.")
    window: str = ""
    candidate: str = ""
    reasons: list[str]
    gate: GateRecord | None = Field(
        None,
        validation_alias=AliasChoices("gate", "evidence"),
        description="The gate's record; None for a rollback. Rows written before 0.1 call it `evidence`.",
    )
    decided_by: str = "the gate"
    approval: Approval | None = Field(
        None,
        validation_alias=AliasChoices("approval", "answer"),
        description="None if no approval was requested. Rows written before 0.1 call it `answer`.",
    )
    dag_run: str = ""
    code_version: str = ""
    decided_at: str = Field("", description="Time of the decision, UTC, ISO 8601.")

    @field_validator("gate", mode="before")
    @classmethod
    def _empty_is_none(cls, gate: Any) -> Any:
        """Rows written before 0.1 have an empty object where there is no evidence."""
        return gate or None

    @property
    def champion(self) -> int | None:
        """The champion's version after this decision."""
        return self.previous if self.action == "keep" else self.version

    @property
    def evidence(self) -> Evidence | None:
        """The measurements; None for a rollback."""
        return self.gate.evidence if self.gate else None

    @property
    def verdict(self) -> Verdict | None:
        """The gate's verdict on the evidence; None for a rollback."""
        return self.gate.verdict if self.gate else None
