"""The ways to train a weekly model that `make bench` compares, one process for each.

`python -m bench.ways NAME STORE FOLDER` reads week numbers from standard input, trains each week, and writes its cost
as a line of JSON. All ways train on the batches in the store and predict its test set.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
import structlog

from harness.substitute import substitute
from ratchet.cli import compile_kernels
from ratchet.features.document import document
from ratchet.jobs import keys
from ratchet.jobs.base import Job, peak_memory_mib
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.storage import FolderStorage
from ratchet.jobs.train import Train
from ratchet.settings import Settings
from ratchet.windows import Window

Predictions = np.ndarray[Any, Any]


def reviews(store: Path, batch: str) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Documents and labels of a batch, or of the test set."""
    table = pq.read_table(store / keys.reviews(batch))
    pairs = zip(table["title"].to_pylist(), table["text"].to_pylist(), strict=True)
    return [document(title, text) for title, text in pairs], table["label"].to_numpy()


class Way(Protocol):
    """A way to train a model each week."""

    def week(self, number: int) -> None:
        """Train the model of window 0-number on what is new since the last week. This is timed."""

    def predictions(self) -> Predictions:
        """The last model's predicted labels of the test set."""


class Ratchet:
    """This project's jobs: featurize the new batch and train the window; each publishes a result with a manifest."""

    def __init__(self, store: Path, folder: Path, candidate: str) -> None:
        from ratchet.features import featurize  # noqa: F401 - imported before the clock starts
        from ratchet.model import artifact
        from ratchet.training.fit import train

        self.train, self.load, self.candidate = train, artifact.load, candidate
        self.storage, self.settings = FolderStorage(folder), Settings()
        shutil.copytree(store / "batches", folder / "batches", copy_function=os.link)
        compile_kernels.warm_cache()  # compile the kernels now, untimed, as the other ways import their libraries now
        self.run(Featurize(batch=keys.TEST))

    def run(self, job: Job) -> None:
        job.execute(self.storage, self.settings)

    def week(self, number: int) -> None:
        batch, self.window = keys.batch_name(number), Window(number)
        self.run(Featurize(batch=batch))
        training = Train(window=self.window, candidate=self.candidate)
        self.run(substitute(training, lambda context: self.train(context, self.window, self.candidate)))

    def predictions(self) -> Predictions:
        from ratchet.features import feature_files
        from ratchet.jobs.manifests import read

        made = read(self.storage, Featurize(batch=keys.TEST).prefix, "nothing")
        model = self.load(self.storage.root / keys.model(self.window, self.candidate))
        return model.probabilities(feature_files.load(self.storage, made, keys.TEST).counts) >= 0.5


class ScikitLearn:
    """TfidfVectorizer and a linear model of liblinear, trained from scratch each week on all text so far."""

    def __init__(self, store: Path, folder: Path, loss: str) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        def made() -> Any:
            linear = LogisticRegression(C=10.0, solver="liblinear") if loss == "logistic" else LinearSVC(C=0.5)
            return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), linear)

        self.store, self.made = store, made
        self.documents: list[str] = []
        self.labels = np.empty(0)

    def week(self, number: int) -> None:
        documents, labels = reviews(self.store, keys.batch_name(number))
        self.documents, self.labels = self.documents + documents, np.concatenate([self.labels, labels])
        self.model = self.made().fit(self.documents, self.labels)

    def predictions(self) -> Predictions:
        labels: Predictions = self.model.predict(reviews(self.store, keys.TEST)[0])
        return labels


class FastText:
    """fastText with dimension 10 on words and pairs, 5 epochs, 2 threads, trained from scratch each week."""

    def __init__(self, store: Path, folder: Path) -> None:
        import fasttext  # type: ignore[import-not-found]  # installed by `make bench`, where it has a wheel

        self.store, self.fit = store, fasttext.train_supervised
        self.path = folder / "fasttext.txt"

    def line(self, text: str) -> str:
        return " ".join(text.lower().split())

    def week(self, number: int) -> None:
        documents, labels = reviews(self.store, keys.batch_name(number))
        with self.path.open("a") as file:
            file.writelines(f"__label__{y} {self.line(x)}\n" for x, y in zip(documents, labels, strict=True))
        self.model = self.fit(str(self.path), dim=10, wordNgrams=2, epoch=5, thread=2, verbose=0)

    def predictions(self) -> Predictions:
        found, _ = self.model.predict([self.line(text) for text in reviews(self.store, keys.TEST)[0]])
        return np.array([each[0] == "__label__1" for each in found])


WAYS: dict[str, Callable[[Path, Path], Way]] = {
    "Ratchet, nb-svm": lambda store, folder: Ratchet(store, folder, "nb-svm"),
    "Ratchet, linear-svc": lambda store, folder: Ratchet(store, folder, "linear-svc"),
    "scikit-learn, LogisticRegression": lambda store, folder: ScikitLearn(store, folder, "logistic"),
    "scikit-learn, LinearSVC": lambda store, folder: ScikitLearn(store, folder, "squared_hinge"),
    "fastText": FastText,
}


def main() -> None:
    name, store, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the results
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    way = WAYS[name](store, folder)
    labels = pq.read_table(store / keys.reviews(keys.TEST), columns=["label"])["label"].to_numpy()
    print(json.dumps({"ready": True}), file=results, flush=True)
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        way.week(int(line))
        cost = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
        table = np.bincount(2 * labels + way.predictions().astype(int), minlength=4).tolist()
        print(json.dumps({**cost, "peak": peak_memory_mib(), "outcomes": table}), file=results, flush=True)


if __name__ == "__main__":
    main()
