"""Measure challenger and champion on one frozen test set, in one job. It makes the evidence; the gate judges it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog

from ratchet.errors import ArtifactError, IntegrityError
from ratchet.features import feature_files
from ratchet.features.feature_files import Features
from ratchet.jobs import keys
from ratchet.jobs.base import JobContext
from ratchet.jobs.batches import features_of, present
from ratchet.jobs.evaluate import EvaluateDetails
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.score import ScoreDetails
from ratchet.jobs.storage import Storage, verified
from ratchet.ledger.decision import Evidence, Table
from ratchet.ledger.store import Champion, Ledger
from ratchet.model import artifact
from ratchet.model.artifact import CARD, WEIGHTS, Model
from ratchet.model.metrics import metrics
from ratchet.promotion import probe
from ratchet.promotion.gate import EVIDENCE
from ratchet.promotion.registry import Registry
from ratchet.windows import Window

log = structlog.get_logger()

PROBES = 20
"""Test reviews that the fresh process predicts."""

TOLERANCE = 1e-5
"""Largest difference in a probability between two processes."""

Array = np.ndarray[Any, Any]


def evaluate(
    context: JobContext, window: Window, candidates: list[str], registry: Registry, ledger: Ledger
) -> Evidence:
    """Register the candidate that is best on validation as challenger and measure it beside the champion.

    Returns the evidence, which is also published as the job's output. Raises MissingInput if a candidate was not
    trained on this window, or the test set has no features.
    """
    trained = {
        name: context.read(keys.model(window, name), f"ratchet train --window {window} --candidate {name}")
        for name in candidates
    }
    best = trained[max(candidates, key=lambda name: trained[name].metrics["macro_f1"])]
    test_made = features_of(context, keys.TEST)
    champion = ledger.champion()
    unmeasured = Evidence(
        window=str(window),
        candidate=best.parameters["candidate"],
        version=None,
        model_digest=best.digest,
        champion_epoch=champion.epoch,
        champion_version=champion.version,
        test_digest=test_made.digest,
        outcomes=[[[0, 0], [0, 0]]] * 2,
        compared={name: manifest.metrics["macro_f1"] for name, manifest in trained.items()},
        validation=best.metrics,
        validation_rows=best.rows["validation"],
        lineage_problem=lineage_problem(context.storage, best, window, test_made),
    )
    with ThreadPoolExecutor(max_workers=1) as pool:  # a fresh process takes seconds to import: use the time
        probed = pool.submit(_probe, context, best)
        test, opponent = feature_files.load(context.storage, test_made, "test"), _champion(champion, registry)
    pictures = context.folder / "plots"
    try:
        measured = _compare(unmeasured, probed.result(), opponent, test, pictures)
    except IntegrityError as error:
        problem = str(error).replace(f"{context.folder}/challenger", best.prefix)  # the same evidence on every machine
        evidence = unmeasured.model_copy(update={"artifact_problem": problem})
    else:
        evidence = measured.model_copy(update={"version": registry.register(best)})
    _publish(context, evidence, registry, pictures)
    context.rows["test"] = len(test.labels)
    return evidence


def _publish(context: JobContext, evidence: Evidence, registry: Registry, pictures: Path) -> None:
    """Write the evidence into the store and, if a version was registered, to the MLflow run that trained it."""
    path = context.folder / EVIDENCE
    path.write_text(evidence.model_dump_json(indent=2) + "\n")
    context.publish(path, EVIDENCE)
    context.metrics.update(evidence.metrics)
    context.details = EvaluateDetails(version=evidence.version, champion=evidence.champion_version)
    if evidence.version is not None:
        figures = {f"test_{name}": value for name, value in evidence.metrics.items()}
        registry.note(evidence.version, {}, figures, {"evidence": path, "plots/test": pictures})


def _probe(context: JobContext, trained: Manifest) -> Model:
    """Load the challenger, once a fresh process has computed the same probabilities from its files.

    Raises IntegrityError if the files are not what was trained; ArtifactError, which is one, if the fresh process
    cannot load them or its probabilities differ.
    """
    folder = context.folder / "challenger"
    folder.mkdir()
    for name in (WEIGHTS, CARD):
        with verified(context.storage, f"{trained.prefix}/{name}", trained.output(name).sha256) as path:
            shutil.copyfile(path, folder / name)
    titles, texts = _probes(context.storage)
    probed = probe.predictions(folder, titles, texts)
    if isinstance(probed, str):
        raise ArtifactError(probed)
    model = artifact.load(folder)
    if np.abs(probed - model.read(titles, texts)).max() > TOLERANCE:
        raise ArtifactError("the artifact predicts differently in a fresh process")
    return model


def _probes(storage: Storage) -> tuple[list[str], list[str]]:
    """Titles and texts of the first test reviews."""
    with storage.local(keys.reviews(keys.TEST)) as path:
        table = pq.ParquetFile(path).read_row_group(0, columns=["title", "text"]).slice(0, PROBES)
    return table["title"].to_pylist(), table["text"].to_pylist()


def _champion(champion: Champion, registry: Registry) -> Model | None:
    if champion.version is None:
        return None
    with registry.artifact(champion.version) as folder:
        return artifact.load(folder)


def _compare(evidence: Evidence, challenger: Model, champion: Model | None, test: Features, pictures: Path) -> Evidence:
    """Add metrics and tables of outcomes, on the whole test set and by slice; draw the challenger's plots."""
    from ratchet.model import plots  # matplotlib takes 0.3 s to import

    probabilities = challenger.probabilities(test.counts)
    plots.draw(test.labels, probabilities, pictures)
    against = champion.probabilities(test.counts) if champion else probabilities
    predicted, before = (probabilities >= 0.5).astype(int), (against >= 0.5).astype(int)

    def table(rows: Array) -> Table:
        cells = np.zeros((2, 2, 2), dtype=int)
        np.add.at(cells, (test.labels[rows], before[rows], predicted[rows]), 1)
        counts: Table = cells.tolist()
        return counts

    everything = np.ones(len(test.labels), dtype=bool)
    return evidence.model_copy(
        update={
            "outcomes": table(everything),
            "slices": {name: table(rows) for name, rows in slices(test).items()} if champion else {},
            "metrics": metrics(test.labels, probabilities),
            "champion_metrics": metrics(test.labels, against) if champion else {},
        }
    )


def slices(test: Features) -> dict[str, Array]:
    """The groups of test reviews in which a challenger may not be worse: by length quartile and by title.

    By name, a boolean mask of shape (n,).
    """
    edges = np.quantile(test.lengths, [0.25, 0.5, 0.75])
    quartile = np.searchsorted(edges, test.lengths, side="left")
    groups = {f"length quartile {number + 1}": quartile == number for number in range(4)}
    return {**groups, "with title": test.titled, "without title": ~test.titled}


def lineage_problem(storage: Storage, trained: Manifest, window: Window, test: Manifest) -> str:
    """How the training data differ from the window's batches without test reviews; empty if they do not."""
    batches = present(storage, window)
    wanted = {job.prefix: job.result(storage) for job in (Featurize(batch=name) for name in batches)}
    before = {keys.model(Window(end), trained.parameters["candidate"]) for end in range(window.end)}  # warm starts
    if odd := set(trained.inputs) - before ^ set(wanted):
        return f"it was not trained on batches {window} alone: {', '.join(sorted(odd))} differ"
    for prefix, current in wanted.items():
        if current is None or current.digest != trained.inputs[prefix]:
            return f"it was trained on {prefix} as it was before its reviews changed"
    tested = feature_files.review_ids(storage, test)
    for batch, made in zip(batches, filter(None, wanted.values()), strict=True):
        shared = pc.sum(pc.is_in(feature_files.review_ids(storage, made), value_set=tested)).as_py()
        if shared:
            return f"{shared} test reviews are also in {batch}"
    return ""


def score(context: JobContext, batch: str, registry: Registry, ledger: Ledger) -> None:
    """Compute the prequential score: the champion on a batch that it was not trained on.

    Raises IntegrityError before the first promotion.
    """
    made = features_of(context, batch)
    champion = ledger.champion()
    if champion.version is None:
        raise IntegrityError("There is no champion to score yet. Train and promote window 0-0 first.")
    with registry.artifact(champion.version) as folder:
        model = artifact.load(folder)
    context.details = ScoreDetails(champion=champion.version)
    if batch in model.card.trained_on:
        reason = f"version {champion.version} was trained on {batch}"
        context.details = ScoreDetails(champion=champion.version, not_scored=reason)
        return
    parts = Features.stack([feature_files.load(context.storage, made, part) for part in feature_files.PARTS])
    context.metrics.update(metrics(parts.labels, model.probabilities(parts.counts)))
    context.rows["scored"] = len(parts.labels)
    registry.note(champion.version, {}, {f"prequential_f1_{batch}": context.metrics["macro_f1"]})
