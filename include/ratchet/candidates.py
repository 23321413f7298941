"""The models that compete, by name. Plain data, so that the Airflow side can offer the choice without scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FEATURIZER = "words-1-2-hashed-22"
"""Names the definition of the features. Another definition gets another name, so old and new features never mix."""


@dataclass(frozen=True)
class Candidate:
    """One way to fit a linear model on TF-IDF: scikit-learn's loss name, and the inverse regularisation C."""

    name: str
    loss: Literal["logistic", "squared_hinge"]
    C: float

    @property
    def parameters(self) -> dict[str, Any]:
        return {"candidate": self.name, "loss": self.loss, "C": self.C, "featurizer": FEATURIZER, "seed": 0}


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("logistic-regression", loss="logistic", C=10.0),
        Candidate("linear-svc", loss="squared_hinge", C=0.5),
    )
}
