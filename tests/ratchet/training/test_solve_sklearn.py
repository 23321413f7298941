"""Any linear scikit-learn classifier as a candidate: the artifact scores as the estimator does, through every job."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from harness.jobs import Bench
from ratchet.candidates import CANDIDATES, SklearnCandidate
from ratchet.errors import ConfigurationError, FitError
from ratchet.features.document import document
from ratchet.features.feature_files import Features
from ratchet.features.featurize import vectorizer
from ratchet.features.hashing import count
from ratchet.jobs import keys
from ratchet.model import artifact
from ratchet.model.artifact import CARD, WEIGHTS, Model, logistic
from ratchet.model.explain import explain
from ratchet.training import solve_sklearn
from ratchet.training.fit import fit
from ratchet.windows import Window

SOURCE = "synthetic:rows=1500&weeks=2&test_rows=500&drift_week=none&seed=1"
SGD = "sklearn.linear_model:SGDClassifier"
LINEAR = [
    SklearnCandidate("sgd-log", SGD, {"loss": "log_loss", "alpha": 1e-5}),
    SklearnCandidate("sgd-hinge", SGD, {"loss": "hinge", "alpha": 1e-4}),
    SklearnCandidate("complement-nb", "sklearn.naive_bayes:ComplementNB", {"alpha": 0.5}),
]
MORE = [
    *LINEAR,
    SklearnCandidate("multinomial-nb", "sklearn.naive_bayes:MultinomialNB", {"class_prior": [0.3, 0.7]}),
    SklearnCandidate("normed-nb", "sklearn.naive_bayes:ComplementNB", {"norm": True}),
    SklearnCandidate("ridge", "sklearn.linear_model:RidgeClassifier"),
    SklearnCandidate("sparse-svc", "sklearn.svm:SVC", {"kernel": "linear"}),
]
REFUSED = {
    "not linear": SklearnCandidate("x", "sklearn.ensemble:RandomForestClassifier", {"n_estimators": 2}),
    "not linear in TF-IDF": SklearnCandidate("x", "sklearn.naive_bayes:BernoulliNB"),
    "classes \\[\\], not": SklearnCandidate("x", "sklearn.linear_model:Ridge"),
    "did not converge": SklearnCandidate("x", SGD, {"max_iter": 1}),
    "cannot be fitted on .* reviews": SklearnCandidate("x", SGD, {"alpha": -1.0}),
}


@pytest.fixture(scope="module")
def parts() -> list[Features]:
    """Training and validation part of 300 reviews each, in which words that depend on the label occur."""
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 2, 600).astype(np.int8)
    words = np.array([["awful", "broken", "refund"], ["great", "lovely", "perfect"]])
    others = [f"word{number}" for number in range(200)]
    texts = [" ".join([*dice.choice(words[label], 2), *dice.choice(others, 6)]) for label in labels]
    counts, zeros = count(texts), np.zeros(300, np.int32)
    return [Features(counts[rows], labels[rows], zeros, zeros > 0) for rows in (slice(300), slice(300, 600))]


@pytest.fixture
def estimators(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The estimators of a fit in order: to check the arguments, of the training parts, of all reviews."""
    made: list[Any] = []
    record_into(made, monkeypatch)
    return made


def record_into(made: list[Any], patch: pytest.MonkeyPatch) -> None:
    """Append every estimator that is built from now on to `made`."""
    build = solve_sklearn.build

    def recorded(candidate: SklearnCandidate) -> Any:
        made.append(build(candidate))
        return made[-1]

    patch.setattr(solve_sklearn, "build", recorded)


def decision(estimator: Any, features: Any) -> np.ndarray:
    """The estimator's own score of label 1."""
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(features))
    joint = np.asarray(estimator.predict_joint_log_proba(features))
    difference: np.ndarray = joint[:, 1] - joint[:, 0]
    return difference


def sublinear(counts: Any, model: Model, rows: int) -> Any:
    """scikit-learn's own sublinear TF-IDF of some reviews, in the model's columns, fitted on the first `rows`."""
    columns = counts[:, model.columns]
    return TfidfTransformer(sublinear_tf=True).fit(columns[:rows]).transform(columns)


@pytest.mark.parametrize("candidate", MORE, ids=lambda candidate: candidate.name)
def test_scores_are_the_estimators_own(
    candidate: SklearnCandidate, parts: list[Features], estimators: list[Any]
) -> None:
    """The model's scores of all reviews are the decisions of the estimator on scikit-learn's own features of them."""
    model = fit(candidate, parts[:1], parts[1:], "0-0").model
    counts = Features.stack(parts).counts
    own = decision(estimators[-1], sublinear(counts.csr(), model, rows=600))
    np.testing.assert_allclose(model.scores(counts), own, atol=1e-5)


@pytest.mark.parametrize("candidate", MORE, ids=lambda candidate: candidate.name)
def test_validation_predictions_come_from_the_training_part_alone(
    candidate: SklearnCandidate, parts: list[Features], estimators: list[Any]
) -> None:
    """The probabilities are the sigmoid of the decisions of a second fit, without the validation part."""
    found = fit(candidate, parts[:1], parts[1:], "0-0")
    frequency = np.bincount(parts[0].counts.columns, minlength=1 << 22)
    seen = Model(found.model.card, np.flatnonzero(frequency >= 2), np.empty(0), np.empty(0))
    assert len(seen.columns) < len(found.model.columns)
    features = sublinear(Features.stack(parts).counts.csr(), seen, rows=300)[300:]
    card = found.model.card
    expected = logistic(card.slope * decision(estimators[1], features) + card.offset)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("candidate", LINEAR, ids=lambda candidate: candidate.name)
def test_fitting_again_gives_the_same_bytes(candidate: SklearnCandidate, parts: list[Features], tmp_path: Path) -> None:
    """A classifier with a random order gets a fixed seed."""
    for name in ("first", "again"):
        fit(candidate, parts[:1], parts[1:], "0-0").model.save(tmp_path / name)
    for name in (WEIGHTS, CARD):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize(("message", "candidate"), REFUSED.items())
def test_a_fit_that_gives_no_linear_model_is_refused(
    message: str, candidate: SklearnCandidate, parts: list[Features]
) -> None:
    """The error names the problem and what to choose instead."""
    with pytest.raises(FitError, match=message):
        fit(candidate, parts[:1], parts[1:], "0-0")


@pytest.mark.parametrize(
    ("weight", "decide", "message"),
    [(1.0, {}, "neither decision_function"), (np.nan, {"decision_function": lambda x: x @ [np.nan]}, "not finite")],
)
def test_weights_that_cannot_be_checked_are_refused(weight: float, decide: dict[str, Any], message: str) -> None:
    """A classifier without a decision of its own, and one that diverged, give no model."""
    estimator = SimpleNamespace(classes_=[0, 1], coef_=[[weight]], **decide)
    with pytest.raises(FitError, match=message):
        solve_sklearn.linear_function(estimator, sp.csr_matrix([[1.0], [2.0]]), LINEAR[0])


def test_without_validation_reviews_there_is_still_a_model(parts: list[Features]) -> None:
    """A window can be so small that no review is in its validation parts."""
    empty = Features(count([]), np.empty(0, np.int8), np.empty(0, np.int32), np.empty(0, bool))
    found = fit(LINEAR[2], parts[:1], [empty], "0-0")
    assert len(found.probabilities) == 0
    assert ((found.model.scores(parts[1].counts) > 0) == parts[1].labels).mean() > 0.9


def test_reviews_of_one_label_are_refused(parts: list[Features]) -> None:
    """A classifier that saw one class only has no decision between two."""
    alike = [Features(part.counts, np.zeros_like(part.labels), part.lengths, part.titled) for part in parts]
    with pytest.raises(FitError, match=r"classes \[0\], not to \[0, 1\]"):
        fit(LINEAR[2], alike[:1], alike[1:], "0-0")


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (SklearnCandidate("x", "sklearn.linear_modle:SGD"), "cannot be imported here"),
        (SklearnCandidate("x", "sklearn.linear_model:SDGClassifier"), "names no class"),
        (SklearnCandidate("x", "SGDClassifier()"), "names no class"),
        (SklearnCandidate("x", SGD, {"allpha": 1}), "Correct the arguments"),
    ],
)
def test_a_candidate_that_cannot_be_built_is_refused(
    candidate: SklearnCandidate, message: str, parts: list[Features]
) -> None:
    """ConfigurationError names the line to correct, before any review is copied."""
    with pytest.raises(ConfigurationError, match=message):
        fit(candidate, parts[:1], parts[1:], "0-0")


def test_without_scikit_learn_the_extra_is_named(parts: list[Features], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scikit-learn the error names what to install; the compiled candidates do not need it."""
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] in {"sklearn", "scipy"}:
            raise ImportError(f"No module named {name!r}")
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    fit(CANDIDATES["linear-svc"], parts[:1], parts[1:], "0-0")
    with pytest.raises(ConfigurationError, match=r"ratchet\[training,export\]"):
        fit(LINEAR[0], parts[:1], parts[1:], "0-0")


@pytest.mark.parametrize("arguments", [{"hidden": (1, 2)}, {"key": object()}, {"alpha": float("nan")}, {1: "a"}])
def test_arguments_are_json_values(arguments: dict[str, Any]) -> None:
    """A manifest gives arguments back as they were, so a training that stands is not repeated."""
    with pytest.raises(ConfigurationError, match="not JSON values"):
        SklearnCandidate("x", SGD, arguments)


@dataclass(frozen=True)
class Trained:
    """A store on which one candidate was trained, evaluated and promoted, with the estimator of its last fit."""

    bench: Bench
    candidate: SklearnCandidate
    estimator: Any
    action: str

    @property
    def folder(self) -> Path:
        return self.bench.store / keys.model(Window(0), self.candidate.name)

    def texts(self, batch: str) -> list[tuple[str, str]]:
        """Title and text of a batch, training part first."""
        table = pq.read_table(self.bench.store / keys.reviews(batch)).to_pylist()
        rows = sorted(table, key=lambda row: row["part"] == "validation")
        return [(row["title"], row["text"]) for row in rows]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A store with the features of two batches, and nothing trained."""
    bench = Bench(tmp_path_factory.mktemp("prepared"))
    bench.prepare(SOURCE, batches=2)
    yield bench
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it


@pytest.fixture(scope="module", params=LINEAR, ids=lambda candidate: candidate.name)
def trained(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Trained]:
    """The candidate as the first champion of a registered model of its own."""
    candidate: SklearnCandidate = request.param
    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_REGISTERED_MODEL", candidate.name)
        record_into(made, patch)
        patch.setitem(CANDIDATES, candidate.name, candidate)
        decided = bench.week("0-0", candidates=candidate.name)
        yield Trained(bench, candidate, made[-1], decided.action)


def test_it_is_trained_evaluated_and_promoted(trained: Trained) -> None:
    """The manifest names estimator and arguments, no dual variables are among its outputs, the gate promotes it."""
    made = trained.bench.manifest(keys.model(Window(0), trained.candidate.name))
    assert made.parameters["estimator"] == trained.candidate.estimator
    assert made.parameters["arguments"] == trained.candidate.arguments
    assert set(made.outputs) == {WEIGHTS, CARD}
    assert trained.action == "promote"
    assert trained.bench.registry.aliases()["champion"] == 1
    run = trained.bench.registry.client.get_model_version(trained.bench.registry.name, "1").run_id
    assert run is not None
    logged = trained.bench.registry.client.get_run(run).data.params
    assert (logged["estimator"], logged["candidate"]) == (trained.candidate.estimator, trained.candidate.name)


def test_training_again_does_no_work(trained: Trained) -> None:
    """The result stands, because the manifest has the same parameters."""
    prefix = keys.model(Window(0), trained.candidate.name)
    before = trained.bench.manifest(prefix)
    trained.bench.ratchet("train", "--window", "0-0", "--candidate", trained.candidate.name)
    assert trained.bench.manifest(prefix) == before


def test_the_next_window_has_features_alone_as_inputs(trained: Trained) -> None:
    """There is no warm start, so last week's training is no input of this week's."""
    trained.bench.ratchet("train", "--window", "0-1", "--candidate", trained.candidate.name)
    made = trained.bench.manifest(keys.model(Window(1), trained.candidate.name))
    assert all(prefix.startswith("features/") for prefix in made.inputs)
    assert len(made.inputs) == 2


def test_the_saved_artifact_scores_as_the_estimator(trained: Trained) -> None:
    """The scores are equal to 1e-5 on the test set, with scikit-learn's own hashing and weighting."""
    model = artifact.load(trained.folder)
    documents = [document(*each) for batch in (keys.batch_name(0), keys.TEST) for each in trained.texts(batch)]
    rows = len(trained.texts(keys.batch_name(0)))
    own = decision(trained.estimator, sublinear(vectorizer().transform(documents), model, rows)[rows:])
    np.testing.assert_allclose(model.scores(count(documents[rows:])), own, atol=1e-5)


def test_it_predicts_in_batch_and_exports(trained: Trained, tmp_path: Path) -> None:
    """`ratchet predict` with the champion, and the exported Pipeline, give the probabilities of the artifact."""
    titles, texts = map(list, zip(*trained.texts(keys.TEST), strict=True))
    expected = artifact.load(trained.folder).read(titles, texts)
    reviews = trained.bench.store / keys.reviews(keys.TEST)
    champion = ("--model", f"models:/{trained.candidate.name}@champion")
    output = tmp_path / "predictions.parquet"
    trained.bench.ratchet("predict", "--input", str(reviews), "--output", str(output), *champion)
    predicted = pq.read_table(output)
    by_row = dict(zip(zip(titles, texts, strict=True), expected, strict=True))
    rows = pq.read_table(reviews).to_pylist()
    in_order = np.array([by_row[row["title"], row["text"]] for row in rows])
    np.testing.assert_allclose(predicted["probability"].to_numpy(), in_order, atol=1e-12)
    np.testing.assert_array_equal(predicted["label"].to_numpy(), in_order >= 0.5)

    trained.bench.ratchet("export", "--sklearn", "--output", str(tmp_path / "model.joblib"), *champion)
    pipeline = joblib.load(tmp_path / "model.joblib")
    documents = list(map(document, titles, texts))
    np.testing.assert_allclose(pipeline.predict_proba(documents)[:, 1], expected, atol=1e-5)
    sure = np.abs(expected - 0.5) > 1e-5
    np.testing.assert_array_equal(pipeline.predict(documents)[sure], (expected >= 0.5)[sure])


def test_an_explanation_sums_to_its_score(trained: Trained) -> None:
    """The parts of a review's score are exact for this model as for any other."""
    model = artifact.load(trained.folder)
    for title, text in trained.texts(keys.TEST)[:20]:
        counts = count([document(title, text)])
        parts = explain(model, document(title, text), counts, 5)
        assert parts.score == pytest.approx(model.scores(counts)[0], abs=1e-5)
        assert parts.intercept + sum(weight for _, weight in parts.terms) + parts.others == pytest.approx(parts.score)
