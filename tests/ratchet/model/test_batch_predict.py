"""Batch scoring: a row of output per row of input, in order, for every form of file; or an error with its cause."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from ratchet.errors import InputError
from ratchet.features.hashing import count
from ratchet.model import batch_predict as module
from ratchet.model.artifact import Card, Model
from ratchet.model.batch_predict import predict


@pytest.fixture(scope="module")
def model() -> Model:
    """A model for which only the word `good` counts."""
    columns = count(["good"]).columns
    ones = np.ones(len(columns), np.float32)
    return Model(Card(candidate="linear-svc", window="0-0", intercept=-0.5), columns, ones, ones)


FORMS = {
    "named.csv": b"text,title,stars\nbad,So,1\nit is good,So,5\n,,3\n",
    "kaggle.csv": b'"1","So","bad"\n"2","So","it is good"\n"1","",""\n',
    "titles.csv": b'"So","bad"\n"So","it is good"\n"",""\n',
    "texts.csv": b'"bad"\n"good"\n""\n',
    "packed.csv.gz": gzip.compress(b"title,text\nSo,bad\nSo,good\n,\n"),
    "huge.csv": b"So," + b"x" * 200_000 + b"\nSo,good\n,\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_csv_is_read(model: Model, tmp_path: Path, name: str) -> None:
    """With or without a header, packed, or with a huge field: three rows in, three out, the second is positive."""
    (tmp_path / name).write_bytes(FORMS[name])
    assert predict(model, tmp_path / name, tmp_path / "new" / "out.parquet") == 3
    found = pq.read_table(tmp_path / "new" / "out.parquet").to_pydict()
    assert (found["row"], found["label"]) == ([0, 1, 2], [0, 1, 0])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.parquet"]


def test_parquet_is_read_in_chunks(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows keep their order and number over many chunks, and a missing text counts as empty."""
    monkeypatch.setattr(module, "ROWS", 7)
    texts = ["good", "bad", None] * 20
    pd.DataFrame({"text": texts}).to_parquet(tmp_path / "in.parquet")
    assert predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet") == 60
    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert (found["row"], found["label"]) == (list(range(60)), [1, 0, 0] * 20)


def test_long_predictions_log_their_progress(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line about every five seconds with the number of rows, and none for a short file."""
    monkeypatch.setattr(module, "ROWS", 7)
    pd.DataFrame({"text": ["good"] * 20}).to_parquet(tmp_path / "in.parquet")
    with capture_logs() as quiet:
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=itertools.count(step=5).__next__))
    with capture_logs() as logged:
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert quiet == []
    assert [(line["event"], line["log_level"], line["rows"]) for line in logged] == [
        ("predicting", "info", rows) for rows in (7, 14, 20)
    ]


def test_a_header_alone_gives_an_empty_file(model: Model, tmp_path: Path) -> None:
    """No reviews are no error."""
    (tmp_path / "in.csv").write_text("title,text\n")
    assert predict(model, tmp_path / "in.csv", tmp_path / "out.parquet") == 0
    assert pq.read_table(tmp_path / "out.parquet").schema == module.PREDICTION


BROKEN = {
    "empty.csv": (b"", "cannot be read"),
    "wide.csv": (b"a,b,c,d\n", "4 columns and no header"),
    "latin.csv": (b"title,text\n\xff\xfe,x\n", "cannot be read"),
    "quote.csv": (b'title,text\n"a,b\n', "cannot be read"),
    "no.csv.gz": (b"not gzip", "cannot be read"),
    "cut.csv.gz": (gzip.compress(bytes(range(32, 127)) * 500)[:-20], "cannot be read"),
    "x.parquet": (b"PAR1", "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_and_leaves_no_output(model: Model, tmp_path: Path, name: str) -> None:
    """InputError names the cause, and no output is left, partial or complete."""
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        predict(model, tmp_path / name, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_without_text_or_no_file_is_an_error(model: Model, tmp_path: Path) -> None:
    """Both errors name the file and what it lacks."""
    pd.DataFrame({"review": ["good"]}).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InputError, match="no column `text`, only review"):
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    with pytest.raises(InputError, match="is not a file"):
        predict(model, tmp_path / "nothing.csv", tmp_path / "out.parquet")
