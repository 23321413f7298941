"""The gate with everything real around it: good challengers pass, planted bad ones do not, and nothing happens twice.

A bad challenger is planted by a bad fit; the job that runs it, MLflow, the ledger and the gate are the real ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from harness.jobs import BOTH, Bench
from ratchet.candidates import FEATURIZER, Candidate
from ratchet.errors import ArtifactError, LedgerError, ServiceUnavailable
from ratchet.features import feature_files
from ratchet.features.feature_files import Features
from ratchet.jobs import keys
from ratchet.jobs.storage import FolderStorage, sha256_of
from ratchet.ledger.decision import Decision
from ratchet.model.artifact import CARD, WEIGHTS, Card
from ratchet.promotion.promote import replay
from ratchet.training import fit as train
from ratchet.training.fit import Fit
from ratchet.windows import Window

SOURCE = "synthetic:rows=3000&weeks=3&test_rows=1500&noise=0&drift_week=none&seed=1"
PREFIX = keys.model(Window(1), "linear-svc")
FORCE = "--force"

Parts = list[Features]
Planted = Callable[[Callable[..., Fit]], Decision]
fit = train.fit


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Bench]]:
    """Makes benches with three batches and version 1, the better of two candidates of week 0, as champion."""

    def make(name: str) -> Bench:
        bench = Bench(tmp_path_factory.mktemp(name))
        bench.prepare(SOURCE, batches=3)
        bench.week("0-0", candidates=BOTH)
        return bench

    yield make
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets it


@pytest.fixture(scope="module")
def bench(prepared: Callable[[str], Bench]) -> Bench:
    """A bench on which version 1 stays champion."""
    return prepared("challenged")


@pytest.fixture(scope="module")
def moving(prepared: Callable[[str], Bench]) -> Bench:
    """A bench whose champions come and go: 0-1 was better and is version 2."""
    bench = prepared("moving")
    bench.week("0-1")
    return bench


@pytest.fixture
def planted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """Judges the model that a bad fit gives for window 0-1."""

    def judged(bad: Callable[..., Fit]) -> Decision:
        monkeypatch.setattr(train, "fit", bad)
        return bench.week("0-1", FORCE)

    return judged


def refused(bench: Bench, decision: Decision) -> str:
    """All reasons of a refusal, after a check that version 1 still serves."""
    assert decision.action == "keep"
    assert bench.ledger.champion().version == bench.registry.aliases()["champion"] == 1
    return "; ".join(decision.reasons)


def relabelled(part: Features, labels: np.ndarray) -> Features:
    return Features(part.counts, labels, part.lengths, part.titled)


def held_out(bench: Bench) -> Features:
    made = bench.manifest(keys.features(FEATURIZER, keys.TEST))
    return feature_files.load(FolderStorage(bench.store), made, "test")


def test_week_0_keeps_the_better_of_two_candidates(bench: Bench) -> None:
    """Both candidates were trained, the one with the higher validation F1 is version 1 and the first champion."""
    decision, evidence = bench.ledger.history()[0], bench.evidence("0-0")
    assert set(evidence.compared) == set(BOTH.split(","))
    assert decision.candidate == max(evidence.compared, key=evidence.compared.__getitem__)
    assert (decision.action, decision.version, decision.previous) == ("promote", 1, None)
    assert "there is no champion yet" in decision.reasons


def test_the_run_holds_model_plots_and_evidence(bench: Bench) -> None:
    """Plots of validation come with the training, plots of the test set and the evidence with the evaluation."""
    client = bench.registry.client
    run = client.get_run(str(client.get_model_version(bench.registry.name, "1").run_id))
    folders = ("plots/validation", "plots/test", "evidence")
    logged = {each.path for folder in folders for each in client.list_artifacts(run.info.run_id, folder)}
    pictures = ("confusion_matrix.png", "precision_recall.png", "reliability.png")
    assert logged == {f"plots/{part}/{name}" for part in ("validation", "test") for name in pictures} | {
        "evidence/evidence.json"
    }
    named = ("accuracy", "precision", "recall", "macro_f1", "roc_auc", "log_loss", "ece")
    assert {f"{part}{name}" for part in ("", "test_") for name in named} <= set(run.data.metrics)
    assert {"ratchet.window", "ratchet.batches", "ratchet.dag_run", "ratchet.code_version"} <= set(run.data.tags)
    assert run.inputs is not None
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["batch_00"]


def test_worse(bench: Bench, planted: Planted) -> None:
    """A model that learned from shuffled labels falls below the floor and improves on nothing."""

    def taught_nonsense(candidate: Candidate, training: Parts, validation: Parts, *rest: Any) -> Fit:
        dice = np.random.default_rng(0)
        taught, tested = (
            [relabelled(part, dice.permutation(part.labels)) for part in parts] for parts in (training, validation)
        )
        return fit(candidate, taught, tested, *rest)

    reasons = refused(bench, planted(taught_nonsense))
    assert "below the floor" in reasons
    assert "no improvement beyond chance" in reasons


def test_no_better(bench: Bench, planted: Planted) -> None:
    """A model that learned from a third of the reviews is good in itself, but no improvement."""

    def third(parts: Parts) -> Parts:
        whole = Features.stack(parts)
        few = slice(0, len(whole.labels) // 3)
        return [Features(whole.counts[few], whole.labels[few], whole.lengths[few], whole.titled[few])]

    def idle(candidate: Candidate, training: Parts, validation: Parts, window: str, begin: object) -> Fit:
        return fit(candidate, third(training), third(validation), window)

    decision = planted(idle)
    assert "no improvement beyond chance" in refused(bench, decision)
    assert "below the floor" not in refused(bench, decision)


def test_leaky(bench: Bench, planted: Planted) -> None:
    """A model that learned the test set by heart gives itself away: it is far better there than on validation."""

    def cheating(candidate: Candidate, training: Parts, validation: Parts, window: str, begin: object) -> Fit:
        return fit(candidate, [*training, held_out(bench)], validation, window)

    assert "it seems to have seen the test set" in refused(bench, planted(cheating))


def test_biased_on_one_slice(bench: Bench, planted: Planted) -> None:
    """A model that is better over all, but worse on reviews without a title, is kept back for that alone."""

    def biased(candidate: Candidate, training: Parts, validation: Parts, window: str, begin: object) -> Fit:
        test = held_out(bench)
        dice = np.random.default_rng(0).random(len(test.labels))
        rows = np.where(test.titled, dice < 0.4, dice < 0.3)
        hurt = Features(
            test.counts[rows],
            np.where(test.titled, test.labels, 1 - test.labels)[rows],
            test.lengths[rows],
            test.titled[rows],
        )
        return fit(candidate, [*training, hurt], validation, window)

    decision = planted(biased)
    assert decision.evidence is not None
    assert decision.evidence.metrics["macro_f1"] > 0.86
    assert refused(bench, decision).startswith("slice without title loses more than 0.02")
    assert len(decision.reasons) == 1


def test_not_calibrated(bench: Bench, planted: Planted) -> None:
    """A model that is overconfident in its (good) predictions is kept back for that alone."""

    def boastful(candidate: Candidate, *rest: Any) -> Fit:
        found = fit(candidate, *rest)
        return replace(found, model=found.model.with_card(slope=20 * found.model.card.slope))

    decision = planted(boastful)
    assert "calibration error" in refused(bench, decision)
    assert len(decision.reasons) == 1


def test_tampered(bench: Bench) -> None:
    """Weights that were altered after their manifest are never registered, and the reason names the alteration."""
    bench.ratchet("train", "--window", "0-1", FORCE)
    weights = bench.store / PREFIX / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    before = bench.versions
    decision = bench.judge("0-1", FORCE)
    assert "altered after it was written" in refused(bench, decision)
    assert decision.version is None
    assert bench.versions == before


def test_not_loading(bench: Bench) -> None:
    """Weights that are no safetensors file are refused by a fresh process, though every digest agrees."""
    bench.ratchet("train", "--window", "0-1", FORCE)
    folder = bench.store / PREFIX
    (folder / WEIGHTS).write_bytes(b"import os")
    card = Card.model_validate_json((folder / CARD).read_text())
    (folder / CARD).write_text(card.model_copy(update={"sha256": card.seal(folder / WEIGHTS)}).model_dump_json())
    outputs = {name: {"sha256": sha256_of(folder / name), "size": 9} for name in (WEIGHTS, CARD)}
    bench.rewrite(PREFIX, outputs=outputs)
    reasons = refused(bench, bench.judge("0-1", FORCE))
    assert "does not load in a fresh process" in reasons
    assert "no safetensors file" in reasons


def test_trained_on_other_batches(bench: Bench) -> None:
    """A model whose manifest names other batches than 0..k is refused."""
    bench.ratchet("train", "--window", "0-1", FORCE)
    inputs = bench.manifest(PREFIX).inputs
    bench.rewrite(PREFIX, inputs={**inputs, keys.features(FEATURIZER, "batch_02"): "0" * 64})
    assert "it was not trained on batches 0-1 alone" in refused(bench, bench.judge("0-1", FORCE))


def test_trained_on_test_reviews(bench: Bench, tmp_path: Path) -> None:
    """A batch that shares reviews with the test set is found out by their ids."""
    prefix, test = (keys.features(FEATURIZER, batch) for batch in ("batch_01", keys.TEST))
    ids = bench.store / prefix / feature_files.IDS
    shutil.copy(ids, tmp_path)
    honest = bench.manifest(prefix).model_dump()["outputs"]
    shutil.copy(bench.store / test / feature_files.IDS, ids)
    bench.rewrite(prefix, outputs=honest | {ids.name: bench.manifest(test).model_dump()["outputs"][ids.name]})
    try:
        decision = bench.week("0-1", FORCE)
    finally:
        shutil.copy(tmp_path / ids.name, ids)
        bench.rewrite(prefix, outputs=honest)
    assert "1500 test reviews are also in batch_01" in refused(bench, decision)


def test_an_altered_champion_is_not_compared_with(bench: Bench, planted: Planted) -> None:
    """When a file of the champion in MLflow is altered, the evaluation stops instead of measuring against it."""
    registry = bench.registry
    source = registry.client.get_model_version_download_uri(registry.name, "1")
    run = registry.client.get_run(str(registry.client.get_model_version(registry.name, "1").run_id))
    card = Path(mlflow.artifacts.download_artifacts(f"{source}/data/model/{CARD}"))
    original = card.read_text()
    card.write_text(original.replace('"intercept": ', '"intercept": 1'))
    try:
        found = bench.manifest(keys.model(Window(0), run.data.params["candidate"]))
        with pytest.raises(Exception, match="is not what its training wrote"), registry.artifact(1):
            pass
    finally:
        card.write_text(original)
    with registry.artifact(1) as folder:
        assert sha256_of(folder / WEIGHTS) == found.output(WEIGHTS).sha256


def test_a_good_one_is_promoted(moving: Bench) -> None:
    """The challenger of 0-1 is better beyond chance: it became version 2 and champion, for every check's reason."""
    decision = moving.ledger.history()[1]
    assert (decision.action, decision.version, decision.previous) == ("promote", 2, 1)
    assert any("an improvement beyond chance" in reason for reason in decision.reasons)
    aliases = moving.registry.aliases()
    assert aliases["challenger"] == 2
    with moving.registry.artifact(2) as folder:
        assert sha256_of(folder / WEIGHTS) == sha256_of(moving.store / PREFIX / WEIGHTS)


def test_running_a_week_again_changes_nothing(moving: Bench) -> None:
    """Train, evaluate and promote find that their results stand: no file, no version and no decision is added."""
    stored = {path: sha256_of(path) for path in moving.store.rglob("*") if path.is_file() and path.suffix != ".db"}
    versions, history = moving.versions, moving.ledger.history()
    moving.week("0-1")
    again = {path: sha256_of(path) for path in moving.store.rglob("*") if path.is_file() and path.suffix != ".db"}
    assert again == stored
    assert (moving.versions, moving.ledger.history()) == (versions, history)


def test_a_forced_week_gives_the_same_bytes_and_no_second_version(moving: Bench) -> None:
    """Forced jobs run again: the artifact is the same to the byte, and its version is not registered again."""
    digests = {name: sha256_of(moving.store / PREFIX / name) for name in (WEIGHTS, CARD)}
    champion, versions, run = moving.ledger.champion(), moving.versions, moving.manifest(PREFIX).details["mlflow"]
    decision = moving.week("0-1", FORCE)
    assert {name: sha256_of(moving.store / PREFIX / name) for name in (WEIGHTS, CARD)} == digests
    assert moving.manifest(PREFIX).details["mlflow"] == run
    assert decision.version == 2
    assert (moving.versions, moving.ledger.champion()) == (versions, champion)


def test_promote_alone_forced_returns_the_first_decision(moving: Bench) -> None:
    """A second decision on the same evidence is not written; the first one is returned."""
    moving.judge("0-1")
    history = moving.ledger.history()
    moving.ratchet("promote", "--window", "0-1", FORCE)
    assert moving.ledger.history() == history


def test_a_champion_that_moved_on_keeps_the_challenger_back(moving: Bench) -> None:
    """Evidence against a former champion is outdated: keep, and the replay agrees."""
    if moving.ledger.champion().version != 2:
        moving.ratchet("rollback", "--to", "2")
    moving.ratchet("train", "--window", "0-2")
    moving.ratchet("evaluate", "--window", "0-2", FORCE)
    moving.ratchet("rollback", "--to", "1")
    moving.ratchet("promote", "--window", "0-2", FORCE)
    decision = moving.ledger.history()[-1]
    assert (decision.action, decision.previous, decision.champion) == ("keep", 1, 1)
    assert "the evidence is about the past" in decision.reasons[0]
    assert moving.ledger.champion().version == moving.registry.aliases()["champion"] == 1
    moving.ratchet("replay", str(decision.id))


def test_a_withdrawn_version_is_not_promoted_again(moving: Bench) -> None:
    """However good the evidence: a person took version 2 out of service, and the reason names that decision."""
    if moving.ledger.champion().version != 2:
        moving.ratchet("rollback", "--to", "2")
    moving.ratchet("rollback", "--from", "2")
    withdrawal = moving.ledger.history()[-1].id
    decision = moving.week("0-1", FORCE)
    assert decision.verdict is not None
    assert decision.verdict.promote
    assert (decision.action, decision.version, decision.champion) == ("keep", 2, 1)
    assert decision.reasons == [f"version 2 was withdrawn in decision {withdrawal}"]
    moving.ratchet("replay", str(decision.id))


def test_history_and_explain_show_every_decision(moving: Bench) -> None:
    """Both name the window, the action and the reasons; a version without a decision is a clear error."""
    assert "promote" in moving.ratchet("history")
    output = moving.ratchet("explain", "2", "--verbose")
    for word in ("promote", "0-1", "linear-svc", "by hand", "beyond chance", "rollback", "batch_01"):
        assert word in output
    counted = moving.manifest(keys.features(FEATURIZER, "batch_01"))
    assert f"batch_01 {counted.digest[:16]}, {sum(counted.rows.values())} reviews" in output
    with pytest.raises(LedgerError, match="No decision names version 99"):
        moving.ratchet("explain", "99")


def test_replay_gives_the_recorded_verdict(moving: Bench) -> None:
    """Every decision of the gate follows from its stored evidence; a rollback has none."""
    history = moving.ledger.history()
    assert "Recorded decision: promote" in moving.ratchet("replay", str(history[1].id))
    for decision in history:
        if decision.action != "rollback":
            moving.ratchet("replay", str(decision.id))
    with pytest.raises(LedgerError, match="has no decision 999"):
        moving.ratchet("replay", "999")


@pytest.mark.parametrize("change", [{"reasons": ["an invented reason"]}, {"action": "keep"}])
def test_replay_finds_a_decision_that_was_altered(moving: Bench, change: dict[str, object]) -> None:
    """Action and reasons must be those that the evidence leads to, word by word."""
    decision = moving.ledger.history()[1]
    assert replay(decision)[1]
    assert not replay(decision.model_copy(update=change))[1]


def test_replay_finds_a_gate_that_was_altered(moving: Bench) -> None:
    """The recorded checks are kept, so a gate with other checks is noticed."""
    decision = moving.ledger.history()[1]
    assert decision.gate is not None
    verdict = decision.gate.verdict.model_copy(update={"checks": decision.gate.verdict.checks[1:]})
    other = decision.gate.model_copy(update={"verdict": verdict})
    assert not replay(decision.model_copy(update={"gate": other}))[1]


def test_an_outage_of_mlflow_is_no_tampering(moving: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is worth another try; a version that does not exist is not."""
    with pytest.raises(ArtifactError), moving.registry.artifact(99):
        pass
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = moving.registry
    registry.client = MlflowClient("http://me:hunter2@127.0.0.1:9")
    trained = moving.manifest(PREFIX)
    calls = (
        registry.aliases, lambda: registry.register(trained), lambda: registry.artifact(1).__enter__(),
        lambda: registry.version_of(f"models:/{registry.name}@champion"), lambda: registry.note(1, {}, {}),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(ServiceUnavailable) as raised:
            call()
        assert "hunter2" not in str(raised.value)


def test_export_writes_the_artifact_or_a_pipeline(moving: Bench, tmp_path: Path) -> None:
    """The folder holds the bytes of the champion; with --sklearn it is a file that scikit-learn alone reads."""
    moving.ratchet("export", "--model", "models:/review-sentiment/2", "--output", str(tmp_path / "model"))
    moving.ratchet("export", "--sklearn", "--model", str(tmp_path / "model"), "--output", str(tmp_path / "it.joblib"))
    assert sha256_of(tmp_path / "model" / WEIGHTS) == sha256_of(moving.store / PREFIX / WEIGHTS)
    assert joblib.load(tmp_path / "it.joblib").predict(["a b"]).shape == (1,)


def test_doctor_finds_and_reconcile_repairs_a_wandering_alias(moving: Bench) -> None:
    """An alias that differs from the ledger is a problem, and `reconcile` moves it back."""
    champion = moving.ledger.champion().version
    assert champion is not None
    registry = moving.registry
    registry.client.set_registered_model_alias(registry.name, "champion", str(3 - champion))
    with pytest.raises(AssertionError, match="ratchet reconcile"):
        moving.ratchet("doctor")
    assert f"champion → version {champion}" in moving.ratchet("reconcile")
    assert "agree with the ledger already" in moving.ratchet("reconcile")
    moving.ratchet("doctor")


def test_the_prequential_score_is_of_a_champion_that_never_saw_the_batch(bench: Bench) -> None:
    """Batch 1 is scored under version 1; batch 0, on which it was trained, is not."""
    bench.ratchet("score", "--batch", "batch_01")
    bench.ratchet("score", "--batch", "batch_00")
    fresh, stale = bench.manifest(keys.score("batch_01")), bench.manifest(keys.score("batch_00"))
    assert fresh.metrics["macro_f1"] > 0.7
    assert fresh.rows["scored"] == sum(bench.manifest(keys.features(FEATURIZER, "batch_01")).rows.values())
    assert "was trained on batch_00" in stale.details["not_scored"]
    assert not stale.metrics
