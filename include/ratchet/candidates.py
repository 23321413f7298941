"""The models that compete, by name. Plain data: Airflow offers the choice and imports no scikit-learn for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from ratchet.errors import ConfigurationError

FEATURIZER = "words-1-2-hashed-22"
"""Names the definition of the features. Another definition gets another name, so old and new features never mix."""

LAYOUT = 2
"""Version of the layout of feature files. Features of another layout are made again from the reviews."""

GAP = 5e-4
"""The relative duality gap at which a compiled solver stops: how far from the optimum the objective may be at most.
On 104,000 real reviews this gap changed 5 to 10 of 10,000 predicted labels compared with a gap of 2e-6, and took 3 or 4
passes; 1e-4 changed up to 5, in 5 passes."""


@dataclass(frozen=True)
class Candidate:
    """A linear model on TF-IDF, fitted by the compiled solver: liblinear's loss and inverse regularisation C.

    With a `floor`, each column is scaled by `floor` plus the size of its naive Bayes log-count ratio: an NB-SVM.
    """

    name: str
    loss: Literal["logistic", "squared_hinge"]
    C: float
    floor: float | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything besides the data that the fit depends on, as JSON values for the manifest and MLflow."""
        parameters = {"candidate": self.name, "loss": self.loss, "C": self.C}
        ratio = {} if self.floor is None else {"ratio_floor": self.floor}
        return {**parameters, **ratio, "featurizer": FEATURIZER, "gap": GAP, "seed": 0}


@dataclass(frozen=True)
class SklearnCandidate:
    """A linear scikit-learn classifier on TF-IDF: `SklearnCandidate("sgd", "sklearn.linear_model:SGDClassifier")`.

    `estimator` is the import string of the class, `arguments` are those of its constructor, as JSON values. A class
    that has a `random_state` gets 0 unless `arguments` names another one. See docs/how-to/add-a-candidate.md.
    Raises ConfigurationError for arguments that JSON does not return unchanged.
    """

    name: str
    estimator: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            unchanged = json.loads(json.dumps(self.arguments)) == self.arguments
        except (TypeError, ValueError):
            unchanged = False
        if not unchanged:  # the manifest would differ from the parameters, and every run would train again
            raise ConfigurationError(
                f"The arguments of candidate {self.name!r} are not JSON values: {self.arguments!r}. "
                "Use text, numbers, booleans, null, lists, and dicts with text keys."
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything besides the data that the fit depends on, as JSON values for the manifest and MLflow."""
        parameters = {"candidate": self.name, "estimator": self.estimator, "arguments": self.arguments}
        return {**parameters, "featurizer": FEATURIZER, "seed": 0}


AnyCandidate = Candidate | SklearnCandidate

CANDIDATES: dict[str, AnyCandidate] = {
    candidate.name: candidate
    for candidate in (
        Candidate("logistic-regression", loss="logistic", C=10.0),
        Candidate("linear-svc", loss="squared_hinge", C=0.5),
        Candidate("nb-svm", loss="squared_hinge", C=0.3, floor=0.5),
    )
}
