"""Copies of real rows are what their description says they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.copies import DROPPED, REPLACED, write
from ratchet.data import records
from ratchet.jobs import keys
from ratchet.jobs.ingest import Ingest
from ratchet.jobs.preprocess import Preprocess
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage
from ratchet.settings import Settings

SENTENCE = " ".join(f"word{number}" for number in range(200))
REAL = [(str(1 + n % 2), f'a "title", {n}', f'number{n}\nin a line "and" so on {SENTENCE}') for n in range(8)]


def rows(folder: Path, role: str = "train") -> list[tuple[str, str, str]]:
    return [row[1:] for row in records.read(folder / f"{role}.csv", f"{role}.csv", "csv")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "real"
    folder.mkdir()
    lines = [",".join('"{}"'.format(column.replace('"', '""')) for column in row) for row in REAL]
    for role in ("train", "test"):
        (folder / f"{role}.csv").write_text("".join(line.replace("\n", "\\n") + "\n" for line in lines))
    return folder


def test_there_are_as_many_rows_as_asked_for(source: Path, tmp_path: Path) -> None:
    """The last copy is cut short; the first is the real rows; quotes and newlines come through."""
    write(str(source), tmp_path / "made", {"train": 37, "test": 13})
    assert len(rows(tmp_path / "made")) == 37
    found = rows(tmp_path / "made", "test")
    assert found[:8] == REAL
    assert [title for _, title, _ in found[8:]] == [title for _, title, _ in REAL[:5]]


def test_copies_are_perturbed_as_stated(source: Path, tmp_path: Path) -> None:
    """A tenth of the words is gone, a twentieth is another; label, title and first word stay."""
    write(str(source), tmp_path / "made", {"train": 1, "test": 808})
    found = rows(tmp_path / "made", "test")
    assert len(set(found)) == 808
    assert {(*row[:2], row[2].split()[0]) for row in found} == {(*row[:2], row[2].split()[0]) for row in REAL}
    real = REAL[0][2].split()
    copies = [text.split() for _, title, text in found[8:] if title == REAL[0][1]]
    assert sum(map(len, copies)) / len(copies) / len(real) == pytest.approx(1 - DROPPED, abs=0.01)
    same = sum(len(set(real).intersection(words)) for words in copies) / len(copies) / len(real)
    assert 1 - DROPPED - REPLACED < same < 1 - DROPPED - 0.4 * REPLACED  # some are replaced with what is there already


def test_no_review_is_both_trained_on_and_validated(source: Path, tmp_path: Path) -> None:
    """As the jobs themselves part them, and still a fifth validates."""
    write(str(source), tmp_path / "made", {"train": 2000, "test": 8})
    store, settings, made = FolderStorage(tmp_path / "store"), Settings(cache=tmp_path), str(tmp_path / "made")
    for job in (Ingest(source=made), Preprocess(), Split(batches=1)):
        job.execute(store, settings)
    parts: dict[str, list[str]] = {"train": [], "validation": []}
    for row in pq.read_table(store.root / keys.reviews(keys.batch_name(0))).to_pylist():
        parts[row["part"]].append(row["title"])
    assert set(parts["train"]).isdisjoint(parts["validation"])
    assert 0.1 < len(parts["validation"]) / 2000 < 0.35  # which of eight rows validate is a coin's throw each


def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    """And another one does not."""
    made = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write(str(source), tmp_path / name, {"train": 19, "test": 19}, seed)
        made[name] = (tmp_path / name / "train.csv").read_bytes(), (tmp_path / name / "test.csv").read_bytes()
    assert made["one"] == made["again"] != made["other"]
