"""The ways to a weekly model that are compared. One process each: it is asked for week after week, and says its cost.

`python -m bench.ways NAME STORE FOLDER` reads week numbers from standard input and answers each with a line of JSON.
All train on the batches in the store, and answer its test set.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
import structlog

from ratchet.cli import compile_kernels
from ratchet.features.document import document
from ratchet.jobs import catalogue, keys
from ratchet.jobs.base import peak_memory_mib
from ratchet.jobs.storage import FolderStorage
from ratchet.settings import Settings
from ratchet.windows import Window

Answers = np.ndarray[Any, Any]


def reviews(store: Path, batch: str) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Documents and labels of a batch, or of the test set."""
    table = pq.read_table(store / keys.reviews(batch))
    pairs = zip(table["title"].to_pylist(), table["text"].to_pylist(), strict=True)
    return [document(title, text) for title, text in pairs], table["label"].to_numpy()


class Way(Protocol):
    def week(self, number: int) -> None:
        """Make the model of window 0-number, with all that is new since the last one. This is what is timed."""
        ...

    def answers(self) -> Answers:
        """The test set's labels as the last model sees them."""
        ...


class Ratchet:
    """The jobs of this project: the new batch is featurized, the window is trained, both published with a manifest."""

    def __init__(self, store: Path, folder: Path, candidate: str) -> None:
        from ratchet.features.featurize import featurize
        from ratchet.model import artifact
        from ratchet.training.fit import train

        self.featurize, self.train, self.load, self.candidate = featurize, train, artifact.load, candidate
        self.storage, self.settings = FolderStorage(folder), Settings()
        shutil.copytree(store / "batches", folder / "batches", copy_function=os.link)
        compile_kernels.warm_cache()  # as the others import their libraries: a job finds its kernels compiled
        self.run(catalogue.featurize(keys.TEST), lambda context: featurize(context, keys.TEST))

    def run(self, job: Any, make: Any) -> None:
        job.run(make, self.storage, self.settings)

    def week(self, number: int) -> None:
        batch, self.window = keys.batch_name(number), Window(number)
        self.run(catalogue.featurize(batch), lambda context: self.featurize(context, batch))
        training = catalogue.train(str(self.window), self.candidate)
        self.run(training, lambda context: self.train(context, self.window, self.candidate))

    def answers(self) -> Answers:
        from ratchet.features import feature_files
        from ratchet.jobs.manifests import read

        made = read(self.storage, catalogue.featurize(keys.TEST).prefix, "nothing")
        model = self.load(self.storage.root / keys.model(self.window, self.candidate))
        return model.probabilities(feature_files.load(self.storage, made, keys.TEST).counts) >= 0.5


class ScikitLearn:
    """TfidfVectorizer and a linear model of liblinear's on all text so far, from scratch each week."""

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

    def answers(self) -> Answers:
        return self.model.predict(reviews(self.store, keys.TEST)[0])


class FastText:
    """fastText of dimension 10 on words and pairs, 5 epochs, 2 threads, from scratch each week."""

    def __init__(self, store: Path, folder: Path) -> None:
        import fasttext

        self.store, self.fit = store, fasttext.train_supervised
        self.path = folder / "fasttext.txt"

    def line(self, text: str) -> str:
        return " ".join(text.lower().split())

    def week(self, number: int) -> None:
        documents, labels = reviews(self.store, keys.batch_name(number))
        with self.path.open("a") as file:
            file.writelines(f"__label__{y} {self.line(x)}\n" for x, y in zip(documents, labels, strict=True))
        self.model = self.fit(str(self.path), dim=10, wordNgrams=2, epoch=5, thread=2, verbose=0)

    def answers(self) -> Answers:
        found, _ = self.model.predict([self.line(text) for text in reviews(self.store, keys.TEST)[0]])
        return np.array([each[0] == "__label__1" for each in found])


WAYS = {
    "Ratchet, nb-svm": lambda store, folder: Ratchet(store, folder, "nb-svm"),
    "Ratchet, linear-svc": lambda store, folder: Ratchet(store, folder, "linear-svc"),
    "scikit-learn, LogisticRegression": lambda store, folder: ScikitLearn(store, folder, "logistic"),
    "scikit-learn, LinearSVC": lambda store, folder: ScikitLearn(store, folder, "squared_hinge"),
    "fastText": FastText,
}


def main() -> None:
    name, store, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    way: Way = WAYS[name](store, folder)
    truth = pq.read_table(store / keys.reviews(keys.TEST), columns=["label"])["label"].to_numpy()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        way.week(int(line))
        cost = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
        table = np.bincount(2 * truth + way.answers().astype(int), minlength=4).tolist()
        print(json.dumps({**cost, "peak": peak_memory_mib(), "outcomes": table}), file=answers, flush=True)


if __name__ == "__main__":
    main()
