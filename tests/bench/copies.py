"""A source of any size out of a smaller real one: its rows repeated, each copy perturbed, in Kaggle's layout.

Copy 0 is the rows as they are. In every later copy a word of the text (what blanks part) is dropped with probability
10 % and replaced with probability 5 % by a word drawn from all texts of the same file, so by its frequency; the first
word of a text, titles and labels stay. The same seed gives the same bytes.

What that keeps: the number of rows, their size (a tenth shorter), the work of every job, and a vocabulary of pairs of
words that grows with every copy, because dropped and replaced words make new neighbours. What it distorts: no new
word ever appears; copies of a review fall into training and validation alike, so calibration and validation figures
are too good; the test set is as many copies of fewer reviews, so differences there look surer than they are. Only
costs are to be read from it, never scores. Copies of a review of few words can be equal: they are duplicates, and are
refused as such.

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

from ratchet import keys
from ratchet.data import layout, records, sources
from ratchet.data.records import Row

DROPPED, REPLACED = 0.10, 0.05
FORM = csv.WriteOptions(include_header=False, quoting_style="all_valid")
COLUMNS = pa.schema([(name, pa.string()) for name in ("label", "title", "text")])


def write(source: str, folder: Path, sizes: dict[str, int], seed: int = 0) -> None:
    """Write `train.csv` and `test.csv` with as many rows as `sizes` asks for, by role."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as unpacked:
        lot = sources.bring(source, keys.SEED, Path(unpacked), Path(unpacked))
        for number, (role, rows) in enumerate(sizes.items()):
            name = f"{role}{layout.suffix_of(lot.files[role].name)}"
            found = records.read(lot.files[role], name, layout.form_of(name))
            real = [row for row in found if isinstance(row, Row) and row.label in {"1", "2"} and row.text]
            with csv.CSVWriter(folder / f"{role}.csv", COLUMNS, write_options=FORM) as writer:
                for copy in copies(real, rows, np.random.default_rng([seed, number])):
                    writer.write_table(copy)


def copies(real: list[Row], rows: int, rng: np.random.Generator) -> Iterator[pa.Table]:
    """Copies of all rows, the last one cut short, until there are `rows`; a newline is written `\\n`."""
    columns = [pa.array([row[place].replace("\n", "\\n") for row in real]) for place in (1, 2, 3)]
    texts = [row.text.replace("\n", "\\n").split(" ") for row in real]
    starts = np.cumsum([0, *map(len, texts)])
    words = pa.array([word for text in texts for word in text])
    first = pa.table(columns, schema=COLUMNS)
    for done in range(0, rows, len(real)):
        copy = first if not done else first.set_column(2, "text", _perturbed(words, starts, rng))
        yield copy.slice(0, rows - done)


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
