"""A model on disk: a safetensors file of weights and a JSON file that says what they are. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import save_file

from ratchet.candidates import FEATURIZER
from ratchet.errors import ArtifactError
from ratchet.features.document import document
from ratchet.features.hashing import count
from ratchet.features.ngram_counts import DIMENSIONS, Counts
from ratchet.features.tensors import mapped
from ratchet.jobs.storage import sha256_of
from ratchet.model import scoring

WEIGHTS = "model.safetensors"
CARD = "model.json"
TENSORS = {"columns": np.uint32, "idf": np.float32, "coefficients": np.float32}
MAX_BYTES = 1 << 30
"""No linear model in 2^22 dimensions comes near 1 GiB; a larger file is not one of ours."""


class Card(BaseModel):
    """What the weights are, and how the bytes of both files can be verified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    featurizer: str = FEATURIZER
    candidate: str
    window: str
    slope: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    intercept: FiniteFloat
    trained_on: dict[str, str] = {}
    sha256: str = ""

    def seal(self, weights: Path) -> str:
        """Hex digest over all other fields of the card and the bytes of the weights."""
        fields = self.model_dump_json(exclude={"sha256"})
        return hashlib.sha256(f"{fields}\n{sha256_of(weights)}".encode()).hexdigest()


@dataclass(frozen=True)
class Model:
    """A linear model on TF-IDF with 1 + ln(count), rows of length 1: `TfidfTransformer(sublinear_tf=True)`.

    `columns`, `idf`, `coefficients` have shape (m,): the m columns of 2^22 seen at least twice in the window.
    """

    card: Card
    columns: np.ndarray
    idf: np.ndarray
    coefficients: np.ndarray

    @cached_property
    def table(self) -> np.ndarray:
        """idf and coefficient by column, shape (2^22, 2). idf 0 takes a pruned column out of score and norm alike."""
        return scoring.table(self.columns, self.idf, self.coefficients)

    def with_card(self, **changes: object) -> Model:
        """The same weights with another card."""
        return replace(self, card=self.card.model_copy(update=changes))

    def scores(self, counts: Counts) -> np.ndarray:
        """Distance from the decision boundary, shape (n,); positive means label 1."""
        return scoring.scores(counts, self.table, self.card.intercept)

    def probabilities(self, counts: Counts) -> np.ndarray:
        """Calibrated probability of label 1, shape (n,), by Platt's sigmoid fitted on the validation part."""
        return logistic(self.card.slope * self.scores(counts) + self.card.offset)

    def read(self, titles: list[str], texts: list[str]) -> np.ndarray:
        """Probability of label 1 for raw reviews, shape (n,)."""
        return self.probabilities(counted(titles, texts)) if texts else np.empty(0)

    def known(self, counts: Counts) -> np.ndarray:
        """How many distinct n-grams of each review the model knows, shape (n,)."""
        known = self.table[counts.columns, 0] != 0
        return np.diff(np.concatenate([[0], np.cumsum(known)])[counts.starts])

    def save(self, folder: Path) -> None:
        """Write both files into `folder`. The same model is the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: getattr(self, name).astype(kind) for name, kind in TENSORS.items()}, folder / WEIGHTS)
        card = self.card.model_copy(update={"sha256": self.card.seal(folder / WEIGHTS)})
        (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n")


def counted(titles: list[str], texts: list[str]) -> Counts:
    """What any model reads of n raw reviews."""
    return count([document(title, text) for title, text in zip(titles, texts, strict=True)])


def logistic(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-score)), without overflow at either end."""
    return np.exp(-np.logaddexp(0, -scores))


def load(folder: Path) -> Model:
    """Read and verify a model. Raises ArtifactError if a file is missing, altered, too large, or of another format."""
    card = _card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ArtifactError(f"{folder} has no {WEIGHTS}: the artifact is incomplete. Train the window again.")
    if weights.stat().st_size > MAX_BYTES:
        raise ArtifactError(f"{weights} has {weights.stat().st_size} bytes, over the limit of {MAX_BYTES}.")
    if card.seal(weights) != card.sha256:
        raise ArtifactError(f"{folder} does not have the SHA-256 that {CARD} names: it was altered. Do not serve it.")
    try:
        found = mapped(weights)
    except SafetensorError as error:
        raise ArtifactError(f"{weights} is no safetensors file: {error}.") from error
    model = Model(card, *(_tensor(found, name, kind, weights) for name, kind in TENSORS.items()))
    _check(model, weights)
    return model


def _card(folder: Path) -> Card:
    path = folder / CARD
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {CARD}: it is not a model of Ratchet's.")
    try:
        card = Card.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is no card of a model: {str(error).splitlines()[0]}.") from error
    if card.format != 1 or card.featurizer != FEATURIZER:
        raise ArtifactError(
            f"{path} is of format {card.format} on features {card.featurizer}; this code reads format 1 on "
            f"{FEATURIZER}. Use the code version that trained it."
        )
    return card


def _tensor(found: dict[str, np.ndarray], name: str, kind: type, path: Path) -> np.ndarray:
    if name not in found or found[name].dtype != kind or found[name].ndim != 1:
        raise ArtifactError(f"{path} has no tensor {name!r} of one dimension and type {kind.__name__}.")
    return found[name]


def _check(model: Model, path: Path) -> None:
    if not len(model.columns) == len(model.idf) == len(model.coefficients):
        raise ArtifactError(f"The tensors of {path} differ in length.")
    if (np.diff(model.columns.astype(np.int64), append=DIMENSIONS) <= 0).any():
        raise ArtifactError(f"The columns of {path} do not ascend, or one lies beyond {DIMENSIONS}.")
    if not (np.isfinite(model.idf).all() and np.isfinite(model.coefficients).all()):
        raise ArtifactError(f"{path} has weights that are not finite.")
