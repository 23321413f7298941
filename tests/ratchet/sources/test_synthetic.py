"""The generator of synthetic reviews."""

from __future__ import annotations

import csv
import time
from dataclasses import fields
from pathlib import Path

import pytest

from harness.project import PROJECT
from ratchet.errors import ConfigurationError
from ratchet.sources import lexicon, synthetic
from ratchet.sources.synthetic import Parameters, week_rows, write


def rows_of(path: Path) -> list[list[str]]:
    """The well-formed rows of a file."""
    found = csv.reader(path.read_text("utf-8", errors="replace").splitlines())
    return [row for row in found if len(row) == 3 and row[0] in {"1", "2"}]


def texts_of_week(parameters: Parameters, week: int) -> list[str]:
    return [line.decode(errors="replace") for line in week_rows(parameters, week)]


def test_same_parameters_give_same_bytes(tmp_path: Path) -> None:
    """Two runs write the same bytes, and another seed writes others."""
    made = []
    for name, seed in [("one", 0), ("two", 0), ("three", 1)]:
        folder = tmp_path / name
        folder.mkdir()
        files = write(Parameters(rows=1000, test_rows=100, seed=seed), "seed", folder)
        made.append((files["train"].read_bytes(), files["test"].read_bytes()))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]
    assert made[0][1] != made[2][1]


def test_the_default_set_is_made_in_seconds(tmp_path: Path) -> None:
    """22,000 rows take under 2 s of processor time, and each is one line."""
    began = time.process_time()
    files = write(Parameters(), "seed", tmp_path)
    assert time.process_time() - began < 2
    assert files["train"].read_bytes().count(b"\n") == 20_000
    assert files["test"].read_bytes().count(b"\n") == 2_000


def test_classes_are_balanced_and_three_in_ten_have_no_title(tmp_path: Path) -> None:
    """Both classes have between 45 and 55 % of the rows, and 27 to 33 % of the titles are empty."""
    rows = rows_of(write(Parameters(), "seed", tmp_path)["train"])
    assert 0.45 < sum(row[0] == "2" for row in rows) / len(rows) < 0.55
    assert 0.27 < sum(not row[1] for row in rows) / len(rows) < 0.33


def test_slang_begins_with_the_drift_week() -> None:
    """New products fill about half of the drift week and none of the week before."""
    parameters = Parameters()
    new = [
        sum(any(f" {noun}" in text for noun in lexicon.NEW_NOUNS) for text in texts_of_week(parameters, week)) / 2000
        for week in (5, 6, 7)
    ]
    assert new[0] == 0
    assert all(0.35 < share < 0.55 for share in new[1:])


def test_drift_can_be_turned_off() -> None:
    """With `drift_week=none` the words of week 6 are the old ones."""
    text = "".join(texts_of_week(Parameters.parse("drift_week=none"), 6))
    assert not any(noun in text for noun in lexicon.NEW_NOUNS)


def test_every_week_brings_new_brands() -> None:
    """At least one word in ten of the words in week 5 was in no earlier week."""
    weeks = [set(" ".join(texts_of_week(Parameters(), week)).split()) for week in range(6)]
    assert len(weeks[5] - set().union(*weeks[:5])) > len(weeks[5]) / 10


def test_noise_changes_labels_and_leaves_texts() -> None:
    """Without noise the same texts have other labels in about one row of twenty."""
    noisy, clean = (texts_of_week(Parameters(noise=noise), 0) for noise in (0.05, 0.0))
    assert [line[3:] for line in noisy] == [line[3:] for line in clean]
    assert 0.03 < sum(a != b for a, b in zip(noisy, clean, strict=True)) / 2000 < 0.07


def test_a_later_week_is_made_alone(tmp_path: Path) -> None:
    """The delivery `batch_10` is the eleventh week, with no test file."""
    files = write(Parameters(rows=1000), "batch_10", tmp_path)
    assert list(files) == ["train"]
    assert files["train"].read_bytes() == b"".join(week_rows(Parameters(rows=1000), 10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", "no parameter 'colour'"),
        ("rows=many", "rows=many is no int"),
        ("noise=2", "shares"),
        ("drift=-0.1", "shares"),
        ("rows=5", "one row a week"),
        ("weeks=0", "at least one week"),
        ("seed=none", "seed=none is no int"),
    ],
)
def test_impossible_parameters_are_refused(text: str, message: str) -> None:
    """A wrong name or value is named in the message."""
    with pytest.raises(ConfigurationError, match=message):
        Parameters.parse(text)


def test_parameters_are_read_from_the_source() -> None:
    """Each value has the type of its parameter, and the others keep their defaults."""
    assert Parameters.parse("rows=50&noise=0.1&drift_week=2") == Parameters(rows=50, noise=0.1, drift_week=2)


def test_every_parameter_is_documented() -> None:
    """docs/sources.md names each parameter with its default."""
    page = (PROJECT / "docs/sources.md").read_text()
    for field in fields(Parameters):
        assert f"| `{field.name}` | {field.default} |" in page


def test_an_unknown_delivery_is_refused(tmp_path: Path) -> None:
    """Only the seed and numbered batches can be made."""
    with pytest.raises(ConfigurationError, match="no delivery"):
        write(Parameters(), "christmas", tmp_path)


def test_a_few_rows_are_for_the_quarantine(tmp_path: Path) -> None:
    """0.2 % of the lines are malformed, and about as many repeat an earlier one."""
    lines = write(Parameters(), "seed", tmp_path)["train"].read_bytes().splitlines(keepends=True)
    malformed = [line for line in lines if line in synthetic.MALFORMED]
    assert len(malformed) == 40
    assert set(malformed) == set(synthetic.MALFORMED)
    assert 40 <= len(lines) - 40 - len(set(lines) - set(malformed)) <= 60
