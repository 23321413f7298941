"""Make a source of any size from a smaller real one: repeat its rows with perturbed texts, in Kaggle's layout.

Copy 0 is the rows unchanged. In every later copy, each word of a text (separated by whitespace) is dropped with
probability 10 % and replaced with probability 5 % by a word drawn from all texts of the same file, that is, by its
frequency. The first word of a text, the titles and the labels stay. A random half of the training rows is for
validation: of their copies, only those are written whose review_id puts them into the validation part; of the other
half's copies, only those of the training part. Without this, a model would be calibrated on reviews that it was trained
on, and the gate would refuse it. The same seed gives the same bytes.

The copies keep the number of rows, their size (a tenth shorter), their parts, and a vocabulary of word pairs that grows
with every copy, because dropping and replacing words makes new pairs. They distort the rest: no new word appears; a
window of ten batches has hardly more different reviews than one of a single batch, so models do not improve with it,
and fitting may need fewer or more passes; the test set is many copies of few reviews, so differences on it look more
certain than they are. Read costs from these data, never scores. Copies of a short review can be equal; preprocess
refuses them as duplicates.

`python -m bench.copies SOURCE FOLDER TRAIN TEST` writes TRAIN and TEST rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ratchet.data import records
from ratchet.data.records import Row
from ratchet.data.schemas import review_id
from ratchet.data.split import VALIDATION
from ratchet.jobs import formats, keys
from ratchet.sources import resolve

DROPPED, REPLACED = 0.10, 0.05
FORM = csv.WriteOptions(include_header=False, quoting_style="all_valid")
COLUMNS = pa.schema([(name, pa.string()) for name in ("label", "title", "text")])


def write(source: str, folder: Path, sizes: dict[str, int], seed: int = 0) -> None:
    """Write `train.csv` and `test.csv` into `folder`; `sizes` is the number of rows by role, train or test."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as unpacked:
        fetched = resolve.fetch_source(source, keys.SEED, Path(unpacked), Path(unpacked))
        for number, (role, rows) in enumerate(sizes.items()):
            rng = np.random.default_rng([seed, number])
            real = _real(fetched.files[role], role)
            validates = rng.random(len(real)) < 0.5 if role == "train" else None
            with csv.CSVWriter(folder / f"{role}.csv", COLUMNS, write_options=FORM) as writer:
                for copy in _cut(_copies(real, validates, rng), rows):
                    writer.write_table(copy)


def _real(path: Path, role: str) -> pa.Table:
    """The valid rows of a file: label, title and text."""
    name = f"{role}{formats.suffix_of(path.name)}"
    found = records.read(path, name, formats.form_of(name))
    rows = [row[1:] for row in found if isinstance(row, Row) and row.label in {"1", "2"} and row.text]
    return pa.table(list(zip(*rows, strict=True)), schema=COLUMNS)


def _cut(copies: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The first `rows` rows of the copies, with a newline written as `\\n`."""
    while rows:
        copy = next(copies).slice(0, rows)
        rows -= len(copy)
        lines = [pc.replace_substring(column, "\n", "\\n") for column in copy.columns]
        yield pa.table(lines, schema=COLUMNS)


def _copies(real: pa.Table, validates: np.ndarray[Any, Any] | None, rng: np.random.Generator) -> Iterator[pa.Table]:
    """The rows, then an endless series of perturbed copies.

    `validates` is True for the rows whose copies must be in the validation part; None lets every copy through.
    """
    texts = [text.split() for text in real["text"].to_pylist()]
    words, starts = pa.array([word for text in texts for word in text]), np.cumsum([0, *map(len, texts)])
    copy = real
    while True:
        yield copy if validates is None else copy.filter(pa.array(_validate(copy) == validates))
        copy = real.set_column(2, "text", _perturbed(words, starts, rng))


def _validate(copy: pa.Table) -> np.ndarray[Any, Any]:
    """Whether each review is in the validation part, by the rule of `split`."""
    pairs = zip(copy["title"].to_pylist(), copy["text"].to_pylist(), strict=True)
    return np.array([int(review_id(*pair)[-8:], 16) < VALIDATION * 2**32 for pair in pairs])


def _perturbed(words: pa.StringArray, starts: np.ndarray[Any, Any], rng: np.random.Generator) -> pa.StringArray:
    """Every text with words dropped and replaced; text t is `words[starts[t] : starts[t + 1]]`."""
    draws, places = rng.random(len(words)), np.arange(len(words))
    draws[starts[:-1]] = 1.0  # the first word stays, so that no text is empty
    replaced = (draws >= DROPPED) & (draws < DROPPED + REPLACED)
    places[replaced] = rng.integers(len(words), size=replaced.sum())
    kept = draws >= DROPPED
    left = np.concatenate([[0], np.cumsum(kept)])[starts].astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(left, words.take(pa.array(places[kept]))), " ")


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), {"train": int(sys.argv[3]), "test": int(sys.argv[4])})
