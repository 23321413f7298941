"""Training: weights are scikit-learn's, the same inputs give the same bytes, and probabilities are calibrated."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import log_loss
from structlog.testing import capture_logs

from ratchet.candidates import CANDIDATES, Candidate
from ratchet.features import featurize
from ratchet.features.document import document
from ratchet.features.feature_files import Features
from ratchet.features.hashing import count
from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.model.artifact import CARD, WEIGHTS, Card, Model
from ratchet.model.export import pipeline
from ratchet.sources import synthetic
from ratchet.training import solve_compiled
from ratchet.training.fit import fit

ODD = [
    ("", ""),
    ("", "?!"),
    ("Größe", "naïve façade — 没有 значение"),
    ("", "a\x00b \ud7ff \U0001f600 I\u0307stanbul"),
    ("ﬁne", "x" * 100_000),
    ("never seen before", "zyxw vuts"),
]


@pytest.fixture(scope="module")
def reviews() -> list[tuple[int, str, str]]:
    """Label, title and text of 2,000 synthetic reviews."""
    lines = (line.decode() for line in synthetic.test_rows(synthetic.Parameters(test_rows=2000)))
    return [(int(label) - 1, title, text) for label, title, text in csv.reader(lines)]


@pytest.fixture(scope="module")
def parts(reviews: list[tuple[int, str, str]]) -> list[Features]:
    """Training, validation and test part: 600, 600 and 800 reviews."""
    counts = count([document(title, text) for _, title, text in reviews])
    labels = np.array([label for label, *_ in reviews], dtype=np.int8)
    lengths = np.array([len(text) for *_, text in reviews], dtype=np.int32)
    titled = np.array([bool(title) for _, title, _ in reviews])
    edges = ((0, 600), (600, 1200), (1200, 2000))
    return [Features(counts[a:b], labels[a:b], lengths[a:b], titled[a:b]) for a, b in edges]


@pytest.fixture(scope="module", params=sorted(CANDIDATES))
def model(request: pytest.FixtureRequest, parts: list[Features]) -> Model:
    return fit(CANDIDATES[request.param], parts[:1], parts[1:2], "0-0").model


def test_long_featurizing_logs_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line about every five seconds, with rows done and rows in all; nothing for what is short."""
    chunks = ["abc", "def", "g"]
    with capture_logs() as quiet:
        assert list(featurize._with_progress(chunks, 7)) == chunks
    monkeypatch.setattr(featurize, "time", SimpleNamespace(monotonic=itertools.count(step=3).__next__))
    with capture_logs() as logged:
        assert list(featurize._with_progress(chunks, 7)) == chunks
    assert quiet == []
    assert [(line["event"], line["rows"], line["of"]) for line in logged] == [("featurizing", 6, 7)]


def test_scoring_is_scikit_learns(parts: list[Features]) -> None:
    """With every column kept, a score is that of TfidfTransformer(sublinear_tf=True) times the coefficients."""
    weighting = TfidfTransformer(sublinear_tf=True).fit(parts[0].counts.csr())
    coefficients = np.random.default_rng(0).normal(size=DIMENSIONS).astype(np.float32)
    card = Card(candidate="linear-svc", window="0-0", intercept=0.25)
    ours = Model(card, np.arange(DIMENSIONS), weighting.idf_.astype(np.float32), coefficients)
    theirs = weighting.transform(parts[1].counts.csr()) @ coefficients + 0.25
    np.testing.assert_allclose(ours.scores(parts[1].counts), theirs, atol=1e-5)


def test_idf_is_scikit_learns(model: Model, parts: list[Features]) -> None:
    """The idf of every kept column is scikit-learn's; kept are the columns of at least two reviews of both parts."""
    counts = Features.stack(parts[:2]).counts.csr()
    expected = TfidfTransformer().fit(counts).idf_
    np.testing.assert_allclose(model.idf, expected[model.columns], rtol=1e-6)
    frequencies = np.bincount(counts.indices, minlength=DIMENSIONS)
    np.testing.assert_array_equal(model.columns, np.flatnonzero(frequencies >= 2))


def test_a_review_without_any_known_term_scores_the_intercept(model: Model) -> None:
    """Its length is 0, and there is no division by it."""
    assert model.scores(count(["", "zyxw vuts"])).tolist() == [model.card.intercept] * 2


def test_the_exported_pipeline_predicts_as_the_model_does(model: Model, reviews: list[tuple[int, str, str]]) -> None:
    """scikit-learn alone gives the same labels and probabilities, also for unusual text."""
    unseen = [(title, text) for _, title, text in reviews[1200:]] + ODD
    titles, texts = map(list, zip(*unseen, strict=True))
    ours = model.read(titles, texts)
    exported = pipeline(model)
    documents = [document(title, text) for title, text in unseen]
    np.testing.assert_allclose(exported.predict_proba(documents)[:, 1], ours, atol=1e-5)
    np.testing.assert_array_equal(exported.predict(documents), ours >= 0.5)


def test_fitting_again_gives_the_same_bytes(model: Model, parts: list[Features], tmp_path: Path) -> None:
    """Both files of an artifact are equal to the byte when the same parts are fitted twice."""
    again = fit(CANDIDATES[model.card.candidate], parts[:1], parts[1:2], "0-0").model
    for name, each in (("first", model), ("again", again)):
        each.save(tmp_path / name)
    for name in (WEIGHTS, CARD):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_model_learns(model: Model, parts: list[Features]) -> None:
    """Its accuracy on reviews it has not seen is above 0.65."""
    assert ((model.probabilities(parts[2].counts) >= 0.5) == parts[2].labels).mean() > 0.65


def test_calibrated_probabilities_are_better(model: Model, parts: list[Features]) -> None:
    """Platt's sigmoid has a lower log loss on unseen reviews than a plain one, except for logistic regression."""
    allowed = {"logistic-regression": 1.01}.get(model.card.candidate, 1.0)
    naive = 1 / (1 + np.exp(-model.scores(parts[2].counts)))
    ours = model.probabilities(parts[2].counts)
    assert log_loss(parts[2].labels, ours) < allowed * log_loss(parts[2].labels, naive)


@pytest.mark.parametrize("candidate", CANDIDATES.values(), ids=lambda candidate: candidate.name)
def test_validation_reviews_do_not_influence_their_predictions(
    candidate: Candidate, parts: list[Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of a model fitted on the training part alone, for any labels of the validation part."""
    monkeypatch.setattr(solve_compiled, "GAP", 1e-6)
    found = fit(candidate, parts[:1], parts[1:2], "0-0")
    empty = Features(count([]), np.empty(0, np.int8), np.empty(0, np.int32), np.empty(0, bool))
    alone = fit(candidate, parts[:1], [empty], "0-0").model
    scores = alone.with_card(slope=found.model.card.slope, offset=found.model.card.offset)
    np.testing.assert_allclose(found.probabilities, scores.probabilities(parts[1].counts), atol=1e-3)
    flipped = Features(parts[1].counts, 1 - parts[1].labels, parts[1].lengths, parts[1].titled)
    other = fit(candidate, parts[:1], [flipped], "0-0")
    np.testing.assert_allclose(other.probabilities, 1 - found.probabilities, atol=1e-3)
