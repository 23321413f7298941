"""A model on disk: the same model gives the same bytes, and altered or foreign bytes are refused."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ratchet.errors import ArtifactError
from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.model import artifact
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model


def a_model() -> Model:
    card = Card(
        candidate="linear-svc", window="0-1", intercept=0.25, slope=2.0, offset=-0.5, trained_on={"batch_00": "d"}
    )
    columns = np.array([3, 70, DIMENSIONS - 1])
    return Model(card, columns, np.array([1.0, 2.5, 3.25], np.float32), np.array([0.5, -1.0, 2.0], np.float32))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    a_model().save(tmp_path / "model")
    return tmp_path / "model"


def reseal(folder: Path, **changes: object) -> None:
    """Write a card with a valid digest of the present weights and with changes, as a careful forger would."""
    card = Card.model_validate_json((folder / CARD).read_text()).model_copy(update=changes)
    card = card.model_copy(update={"sha256": card.seal(folder / WEIGHTS)})
    (folder / CARD).write_text(card.model_dump_json())


def reweigh(folder: Path, **tensors: np.ndarray) -> None:
    save_file({**load_file(folder / WEIGHTS), **tensors}, folder / WEIGHTS)
    reseal(folder)


def test_a_saved_model_loads_unchanged(saved: Path) -> None:
    """Card, columns, idf and coefficients are equal after saving and loading."""
    found, model = artifact.load(saved), a_model()
    assert found.card == model.card.model_copy(update={"sha256": found.card.sha256})
    for name in ("columns", "idf", "coefficients"):
        np.testing.assert_array_equal(getattr(found, name), getattr(model, name))


def test_the_same_model_is_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    """Saved again, and saved after loading, both files are equal to the byte."""
    a_model().save(tmp_path / "again")
    artifact.load(saved).save(tmp_path / "loaded")
    for other in ("again", "loaded"):
        for name in (WEIGHTS, CARD):
            assert (tmp_path / other / name).read_bytes() == (saved / name).read_bytes()


def flip_a_weight(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def alter_the_card(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "intercept": 9.0}))


def plant_nan_in_the_card(folder: Path) -> None:
    (folder / CARD).write_text((folder / CARD).read_text().replace("0.25", "NaN"))


def pickle_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"columns": []}))
    reseal(folder)


def grow(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, artifact.MAX_BYTES + 1)  # sparse: it takes no space on the disk


def claim_a_huge_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    reseal(folder)


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["idf"]
    save_file(tensors, folder / WEIGHTS)
    reseal(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_weight, "altered"),
        (alter_the_card, "altered"),
        (plant_nan_in_the_card, "not the card of a model"),
        (lambda folder: (folder / CARD).write_text("{"), "not the card of a model"),
        (lambda folder: (folder / CARD).write_bytes(b"\xff\xfe"), "not the card of a model"),
        (lambda folder: (folder / CARD).unlink(), "not a model of Ratchet"),
        (lambda folder: (folder / WEIGHTS).unlink(), "incomplete"),
        (lambda folder: reseal(folder, format=2), "format 2"),
        (lambda folder: reseal(folder, featurizer="chars"), "on features chars"),
        (pickle_the_weights, "no safetensors file"),
        (claim_a_huge_header, "no safetensors file"),
        (grow, "over the limit"),
        (drop_a_tensor, "no tensor 'idf'"),
        (lambda folder: reweigh(folder, idf=np.ones((3, 1), np.float32)), "no tensor 'idf' of one dimension"),
        (lambda folder: reweigh(folder, columns=np.array([-1, 2, 3])), "type uint32"),
        (lambda folder: reweigh(folder, idf=np.ones(2, np.float32)), "differ in length"),
        (lambda folder: reweigh(folder, idf=np.array([1, np.inf, 1], np.float32)), "not finite"),
        (lambda folder: reweigh(folder, coefficients=np.array([1, 1, np.nan], np.float32)), "not finite"),
        (lambda folder: reweigh(folder, columns=np.array([3, 70, DIMENSIONS], np.uint32)), "beyond"),
        (lambda folder: reweigh(folder, columns=np.array([3, 3, 70], np.uint32)), "do not ascend"),
    ],
)
def test_a_damaged_artifact_is_refused(saved: Path, damage: Callable[[Path], object], message: str) -> None:
    """Altered, incomplete, foreign, malformed or oversized files raise ArtifactError, each with its own message."""
    damage(saved)
    with pytest.raises(ArtifactError, match=message):
        artifact.load(saved)


def test_a_model_without_terms_still_predicts(tmp_path: Path) -> None:
    """A window in which no term occurs twice gives a model that consists of its intercept."""
    nothing = np.array([], np.float32)
    Model(a_model().card, np.array([], np.uint32), nothing, nothing).save(tmp_path)
    assert artifact.load(tmp_path).read(["", "a"], ["", "b"]) == pytest.approx([0.5, 0.5])


def test_nothing_is_ever_unpickled(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With unpickling forbidden a model still loads and predicts."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert artifact.load(saved).read(["Good"], ["very good"]).shape == (1,)
