"""Copies of real rows are what their description says they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.copies import DROPPED, REPLACED, write
from ratchet.data import records

SENTENCE = " ".join(f"word{number}" for number in range(200))
REAL = [("1", 'a "title", quoted', f"first {SENTENCE}"), ("2", "", f'second\nline "and" so on {SENTENCE}')]


def rows(folder: Path, role: str = "train") -> list[tuple[str, str, str]]:
    return [row[1:] for row in records.read(folder / f"{role}.csv", f"{role}.csv", "csv")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    lines = [",".join('"{}"'.format(column.replace('"', '""')) for column in row) for row in REAL]
    folder = tmp_path / "real"
    folder.mkdir()
    for role in ("train", "test"):
        (folder / f"{role}.csv").write_text("".join(line.replace("\n", "\\n") + "\n" for line in lines))
    return folder


def test_there_are_as_many_rows_as_asked_for(source: Path, tmp_path: Path) -> None:
    """The last copy is cut short; the first is the real rows; quotes and newlines come through."""
    write(str(source), tmp_path / "made", {"train": 7, "test": 3})
    assert len(rows(tmp_path / "made")) == 7
    assert len(rows(tmp_path / "made", "test")) == 3
    assert rows(tmp_path / "made")[:2] == REAL


def test_copies_are_perturbed_as_stated(source: Path, tmp_path: Path) -> None:
    """A tenth of the words is gone, a twentieth is another; label, title and first word stay."""
    write(str(source), tmp_path / "made", {"train": 400, "test": 2})
    found = rows(tmp_path / "made")
    assert len(set(found)) == 400
    assert {row[:2] for row in found} == {row[:2] for row in REAL}
    assert {text.split()[0] for _, _, text in found} == {"first", "second"}
    copies = [text.split() for label, _, text in found[2:] if label == "1"]
    real = REAL[0][2].split()
    kept = sum(len(set(real).intersection(words)) for words in copies) / len(copies) / len(real)
    left = sum(map(len, copies)) / len(copies) / len(real)
    assert left == pytest.approx(1 - DROPPED, abs=0.01)
    assert 1 - DROPPED - REPLACED < kept < 1 - DROPPED - 0.4 * REPLACED  # some are replaced with what is there already


def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    """And another one does not."""
    made = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        write(str(source), tmp_path / name, {"train": 9, "test": 9}, seed)
        made[name] = (tmp_path / name / "train.csv").read_bytes(), (tmp_path / name / "test.csv").read_bytes()
    assert made["one"] == made["again"] != made["other"]
