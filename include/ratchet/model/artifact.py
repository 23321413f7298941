"""A model on disk: weights as safetensors and a JSON card that describes them. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

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

Array = np.ndarray[Any, Any]

WEIGHTS = "model.safetensors"
CARD = "model.json"
TENSORS = {"columns": np.uint32, "idf": np.float32, "coefficients": np.float32}
AGAIN = "Train the window again."
MAX_BYTES = 1 << 30
"""The largest file that is read. A linear model in 2^22 dimensions has at most 50 MB."""


class Card(BaseModel):
    """Describes the weights, and holds the digest that verifies both files.

    `slope` and `offset` are Platt's sigmoid; `trained_on` maps each batch to the digest of its features' manifest.
    """

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
    columns: Array
    idf: Array
    coefficients: Array

    @cached_property
    def table(self) -> Array:
        """The idf and coefficient by column, shape (2^22, 2). An idf of 0 takes a column out of both score and norm."""
        return scoring.table(self.columns, self.idf, self.coefficients)

    def with_card(self, **changes: object) -> Model:
        """The same weights with some fields of the card changed."""
        return replace(self, card=self.card.model_copy(update=changes))

    def scores(self, counts: Counts) -> Array:
        """Distance from the decision boundary, shape (n,); positive means label 1."""
        return scoring.scores(counts, self.table, self.card.intercept)

    def probabilities(self, counts: Counts) -> Array:
        """Calibrated probability of label 1, shape (n,), by Platt's sigmoid."""
        return logistic(self.card.slope * self.scores(counts) + self.card.offset)

    def read(self, titles: list[str], texts: list[str]) -> Array:
        """Probability of label 1 for raw reviews, shape (n,)."""
        return self.probabilities(counted(titles, texts)) if texts else np.empty(0)

    def known(self, counts: Counts) -> Array:
        """The number of distinct n-grams of each review that the model has a weight for, shape (n,)."""
        known = self.table[counts.columns, 0] != 0
        return np.diff(np.concatenate([[0], np.cumsum(known)])[counts.starts])

    def save(self, folder: Path) -> None:
        """Write both files into `folder`, which is made if needed. The same model gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: getattr(self, name).astype(kind) for name, kind in TENSORS.items()}, folder / WEIGHTS)
        card = self.card.model_copy(update={"sha256": self.card.seal(folder / WEIGHTS)})
        (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n")


def counted(titles: list[str], texts: list[str]) -> Counts:
    """The counts of n raw reviews, as every model reads them."""
    return count([document(title, text) for title, text in zip(titles, texts, strict=True)])


def logistic(scores: Array) -> Array:
    """1 / (1 + exp(-score)), without overflow at either end."""
    probabilities: Array = np.exp(-np.logaddexp(0, -scores))
    return probabilities


def load(folder: Path) -> Model:
    """Read and verify a model. Raises ArtifactError if a file is missing, altered, too large, or of another format."""
    card = _card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ArtifactError(f"{folder} has no {WEIGHTS}: the artifact is incomplete. {AGAIN}")
    if weights.stat().st_size > MAX_BYTES:
        raise ArtifactError(f"{weights} has {weights.stat().st_size} bytes, over the limit of {MAX_BYTES}. {AGAIN}")
    if card.seal(weights) != card.sha256:
        raise ArtifactError(f"{folder} does not have the SHA-256 that {CARD} names: it was altered. Do not serve it.")
    try:
        found = mapped(weights)
    except SafetensorError as error:
        raise ArtifactError(f"{weights} is no safetensors file: {error}. {AGAIN}") from error
    model = Model(card, *(_tensor(found, name, kind, weights) for name, kind in TENSORS.items()))
    _check(model, weights)
    return model


def _card(folder: Path) -> Card:
    path = folder / CARD
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {CARD}: it is not a model of Ratchet. Name a folder that has one.")
    try:
        card = Card.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is not the card of a model: {str(error).splitlines()[0]}. {AGAIN}") from error
    if card.format != 1 or card.featurizer != FEATURIZER:
        raise ArtifactError(
            f"{path} is of format {card.format} on features {card.featurizer}; this code reads format 1 on "
            f"{FEATURIZER}. Use the code version that trained it."
        )
    return card


def _tensor(found: dict[str, Array], name: str, kind: type, path: Path) -> Array:
    if name not in found or found[name].dtype != kind or found[name].ndim != 1:
        raise ArtifactError(f"{path} has no tensor {name!r} of one dimension and type {kind.__name__}. {AGAIN}")
    return found[name]


def _check(model: Model, path: Path) -> None:
    if not len(model.columns) == len(model.idf) == len(model.coefficients):
        raise ArtifactError(f"The tensors of {path} differ in length. {AGAIN}")
    if (np.diff(model.columns.astype(np.int64), append=DIMENSIONS) <= 0).any():
        raise ArtifactError(f"The columns of {path} do not ascend, or one is beyond {DIMENSIONS}. {AGAIN}")
    if not (np.isfinite(model.idf).all() and np.isfinite(model.coefficients).all()):
        raise ArtifactError(f"{path} has weights that are not finite. {AGAIN}")
