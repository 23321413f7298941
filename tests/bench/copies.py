"""A source of any size out of a smaller real one: its rows repeated, each copy perturbed, in Kaggle's layout.

Copy 0 is the rows as they are. In every later copy a word of the text (what whitespace parts) is dropped with
probability 10 % and replaced with probability 5 % by a word drawn from all texts of the same file, so by its frequency;
the first word of a text, titles and labels stay. Half of the training rows are drawn to validate: of their copies only
those come in whose review_id makes them validate, and of the other half's only those that are trained on. Otherwise a
model would be calibrated on what it has learned by heart, and the gate would rightly refuse it. The same seed gives the
same bytes.

What that keeps: the number of rows, their size (a tenth shorter), their parts, and a vocabulary of pairs of words that
grows with every copy, because dropped and replaced words make new neighbours. What it distorts: no new word ever
appears; a window of ten batches holds hardly more different reviews than one of one, so no model gets better by it, and
fewer passes or more may be needed to fit it; the test set is as many copies of fewer reviews, so differences there look
surer than they are. Only costs are to be read from it, never scores. Copies of a review of few words can be equal: they
are duplicates, and are refused as such.

`python -m bench.copies SOURCE FOLDER TRAIN TEST` writes TRAIN and TEST rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ratchet.data import records
from ratchet.data.records import Row
from ratchet.data.schemas import review_id
from ratchet.data.split import VALIDATION
from ratchet.jobs import keys
from ratchet.sources import formats, resolve

DROPPED, REPLACED = 0.10, 0.05
FORM = csv.WriteOptions(include_header=False, quoting_style="all_valid")
COLUMNS = pa.schema([(name, pa.string()) for name in ("label", "title", "text")])


def write(source: str, folder: Path, sizes: dict[str, int], seed: int = 0) -> None:
    """Write `train.csv` and `test.csv` with as many rows as `sizes` asks for, by role."""
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
    """The healthy rows of a file."""
    name = f"{role}{formats.suffix_of(path.name)}"
    found = records.read(path, name, formats.form_of(name))
    rows = [row[1:] for row in found if isinstance(row, Row) and row.label in {"1", "2"} and row.text]
    return pa.table(list(zip(*rows, strict=True)), schema=COLUMNS)


def _cut(copies: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """As much of the copies as makes `rows`; a newline is written `\\n`."""
    while rows:
        copy = next(copies).slice(0, rows)
        rows -= len(copy)
        lines = [pc.replace_substring(column, "\n", "\\n") for column in copy.columns]
        yield pa.table(lines, schema=COLUMNS)


def _copies(real: pa.Table, validates: np.ndarray | None, rng: np.random.Generator) -> Iterator[pa.Table]:
    """The rows, and copies of them without end; where `validates` says on which side a row is, only of its side."""
    texts = [text.split() for text in real["text"].to_pylist()]
    words, starts = pa.array([word for text in texts for word in text]), np.cumsum([0, *map(len, texts)])
    copy = real
    while True:
        yield copy if validates is None else copy.filter(pa.array(_validate(copy) == validates))
        copy = real.set_column(2, "text", _perturbed(words, starts, rng))


def _validate(copy: pa.Table) -> np.ndarray:
    """Whether each review validates: what `split` will say of it."""
    pairs = zip(copy["title"].to_pylist(), copy["text"].to_pylist(), strict=True)
    return np.array([int(review_id(*pair)[-8:], 16) < VALIDATION * 2**32 for pair in pairs])


def _perturbed(words: pa.StringArray, starts: np.ndarray, rng: np.random.Generator) -> pa.StringArray:
    """All texts anew; text t is `words[starts[t] : starts[t + 1]]`."""
    dice, places = rng.random(len(words)), np.arange(len(words))
    dice[starts[:-1]] = 1.0  # so that no text is left empty
    replaced = (dice >= DROPPED) & (dice < DROPPED + REPLACED)
    places[replaced] = rng.integers(len(words), size=replaced.sum())
    kept = dice >= DROPPED
    left = np.concatenate([[0], np.cumsum(kept)])[starts].astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(left, words.take(pa.array(places[kept]))), " ")


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), {"train": int(sys.argv[3]), "test": int(sys.argv[4])})
