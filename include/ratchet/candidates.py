"""The models that compete, by name. Plain data, so that the Airflow side can offer the choice without scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FEATURIZER = "words-1-2-hashed-22"
"""Names the definition of the features. Another definition gets another name, so old and new features never mix."""

LAYOUT = 2
"""How features lie in their files. Those of another layout are made again from the reviews."""

GAP = 5e-4
"""How far from the optimum a fit may be at most, as a part of the objective. On 104,000 real reviews that moved 5 to 10
of 10,000 answers away from those of a gap of 2e-6, in 3 or 4 passes; 1e-4 moved up to 5, in 5 passes."""


@dataclass(frozen=True)
class Candidate:
    """One way to fit a linear model on TF-IDF: scikit-learn's loss name, and the inverse regularisation C.

    With a `floor`, every column is scaled by its naive Bayes log-count ratio, from the floor up: an NB-SVM.
    """

    name: str
    loss: Literal["logistic", "squared_hinge"]
    C: float
    floor: float | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        given = {"candidate": self.name, "loss": self.loss, "C": self.C}
        ratio = {} if self.floor is None else {"ratio_floor": self.floor}
        return {**given, **ratio, "featurizer": FEATURIZER, "gap": GAP, "seed": 0}


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("logistic-regression", loss="logistic", C=10.0),
        Candidate("linear-svc", loss="squared_hinge", C=0.5),
        Candidate("nb-svm", loss="squared_hinge", C=0.3, floor=0.5),
    )
}
