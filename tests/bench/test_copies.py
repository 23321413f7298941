"""Copies of real rows have the properties that bench/copies.py describes."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.copies import DROPPED, REPLACED, write
from ratchet.data import records
from ratchet.data.records import Row
from ratchet.jobs import keys
from ratchet.jobs.ingest import Ingest
from ratchet.jobs.preprocess import Preprocess
from ratchet.jobs.split import Split
from ratchet.jobs.storage import FolderStorage
from ratchet.settings import Settings

SENTENCE = " ".join(f"word{number}" for number in range(200))
REAL = [(str(1 + n % 2), f'a "title", {n}', f'number{n}\nin a line "and" so on {SENTENCE}') for n in range(8)]


def rows(folder: Path, role: str = "train") -> list[tuple[str, str, str]]:
    found = records.read(folder / f"{role}.csv", f"{role}.csv", "csv")
    return [row[1:] for row in found if isinstance(row, Row)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "real"
    folder.mkdir()
    lines = [",".join('"{}"'.format(column.replace('"', '""')) for column in row) for row in REAL]
    for role in ("train", "test"):
        (folder / f"{role}.csv").write_text("".join(line.replace("\n", "\\n") + "\n" for line in lines))
    return folder


def test_the_number_of_rows_is_as_requested(source: Path, tmp_path: Path) -> None:
    """The first copy is the real rows, the last one is cut; quotes and newlines are preserved."""
    write(str(source), tmp_path / "made", {"train": 37, "test": 13})
    assert len(rows(tmp_path / "made")) == 37
    found = rows(tmp_path / "made", "test")
    assert found[:8] == REAL
    assert [title for _, title, _ in found[8:]] == [title for _, title, _ in REAL[:5]]


def test_copies_are_perturbed_at_the_stated_rates(source: Path, tmp_path: Path) -> None:
    """A tenth of the words is dropped, a twentieth is replaced; label, title and first word stay."""
    write(str(source), tmp_path / "made", {"train": 1, "test": 808})
    found = rows(tmp_path / "made", "test")
    assert len(set(found)) == 808
    assert {(*row[:2], row[2].split()[0]) for row in found} == {(*row[:2], row[2].split()[0]) for row in REAL}
    real = REAL[0][2].split()
    copies = [text.split() for _, title, text in found[8:] if title == REAL[0][1]]
    assert sum(map(len, copies)) / len(copies) / len(real) == pytest.approx(1 - DROPPED, abs=0.01)
    same = sum(len(set(real).intersection(words)) for words in copies) / len(copies) / len(real)
    assert (
        1 - DROPPED - REPLACED < same < 1 - DROPPED - 0.4 * REPLACED
    )  # some words are replaced with a word that the text already has


def test_no_review_is_both_trained_on_and_validated(source: Path, tmp_path: Path) -> None:
    """This holds for the parts that the jobs make, and about a fifth of the rows is for validation."""
    write(str(source), tmp_path / "made", {"train": 2000, "test": 8})
    store, settings, made = FolderStorage(tmp_path / "store"), Settings(cache=tmp_path), str(tmp_path / "made")
    for job in (Ingest(source=made), Preprocess(), Split(batches=1)):
        job.execute(store, settings)
    parts: dict[str, list[str]] = {"train": [], "validation": []}
    for row in pq.read_table(store.root / keys.reviews(keys.batch_name(0))).to_pylist():
        parts[row["part"]].append(row["title"])
    assert set(parts["train"]).isdisjoint(parts["validation"])
    assert 0.1 < len(parts["validation"]) / 2000 < 0.35  # each of the eight rows validates with probability 1/2


def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    """Another seed gives other bytes."""
    made = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write(str(source), tmp_path / name, {"train": 19, "test": 19}, seed)
        made[name] = (tmp_path / name / "train.csv").read_bytes(), (tmp_path / name / "test.csv").read_bytes()
    assert made["one"] == made["again"] != made["other"]
