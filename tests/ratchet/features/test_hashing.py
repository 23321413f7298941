"""The compiled featurizer counts as scikit-learn's HashingVectorizer does, to the bit."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.project import REVIEWS
from ratchet.features import hashing
from ratchet.features.document import document
from ratchet.features.featurize import vectorizer
from ratchet.features.hashing import count, count_reviews
from ratchet.features.ngram_counts import DIMENSIONS, MOST, Counts, Frequencies, add_up

AWKWARD = (
    "aAzZ09_ .'-\n\0\x1f\x7fİıſKßẞΣσςÅåﬁé\u0301\u0345\u00ad\u200b\u2028"
    "、没有１Ⅷ²½ऀक\u0e33😀𝔸\U0003fffd\U000e0100\ud800\udfff"
)

texts = st.one_of(
    st.text(),
    st.text(st.sampled_from(AWKWARD)),
    st.lists(st.sampled_from(["good", "Good", "a", "x1", "_", "ΣΑΣ", "İx", "so-so"])).map(" ".join),
    st.builds(lambda word, times: f"{word} " * times, st.sampled_from(["aa", "ΟΔΟΣ", "b c"]), st.integers(0, 3 * MOST)),
)


def assert_same(counts: Counts, documents: list[str]) -> None:
    ours, theirs = counts.csr(), vectorizer().transform(documents)
    assert ours.shape == theirs.shape == (len(documents), DIMENSIONS)
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.dtype == theirs.dtype


@settings(deadline=None, max_examples=300)
@given(st.lists(texts, min_size=1, max_size=8))
def test_any_text_is_counted_as_scikit_learn_counts_it(documents: list[str]) -> None:
    """This holds for any script, case and length, and even if the text is no valid Unicode."""
    assert_same(count(documents), documents)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=8), st.data())
def test_reviews_are_counted_as_their_documents(reviews: list[tuple[str, str]], data: st.DataObject) -> None:
    """Title and text in Arrow, in any slice of an array, give the same counts as the joined document."""
    clean = [[text.encode("utf-8", "ignore").decode() for text in review] for review in reviews]
    start = data.draw(st.integers(0, len(clean) - 1))
    titles, bodies = (pa.array(column, pa.string()).slice(start) for column in zip(*clean, strict=True))
    assert_same(count_reviews(titles, bodies), [document(*review) for review in clean[start:]])


def test_slices_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows counted by several threads in many slices keep their order, and so do high counts."""
    documents = [f"{'so ' * (number % 7)}good {'aa ' * (MOST + number)}{number}" for number in range(50)]
    monkeypatch.setattr(hashing, "ROWS", 3)
    assert_same(count(documents), documents)


def test_there_is_no_letter_beyond_the_table() -> None:
    """The table of letters ends at U+3FFFF; Python knows none above."""
    assert not any(map(str.isalnum, map(chr, range(len(hashing.letters()), sys.maxunicode + 1))))


def test_rows_are_taken_and_stacked_with_their_high_counts() -> None:
    """A count too high for its 10 bits stays with its review."""
    documents = ["aa " * 5000, "", "good bad", "bb " * MOST + "cc " * (MOST + 1)]
    counts = Counts.stack([count(documents[:1]), count([]), count(documents[1:])])
    assert_same(counts, documents)
    assert counts.high.tolist() == [5000, 4999, MOST + 1]
    chosen = [3, 0, 2, 3]
    assert_same(counts[chosen], [documents[row] for row in chosen])
    assert_same(counts[np.array([False, True, False, True])], documents[1::2])
    assert_same(counts[:2], documents[:2])


def test_frequencies_of_batches_add_up() -> None:
    """The document frequencies of a window, by class, are the sums over its batches."""
    documents = ["good", "good bad", "bad bad aa", "good aa " * 2000, *["often good"] * 40, *["often bad"] * 31]
    labels = np.array([1, 0, 0, 1, *[1] * 40, *[0] * 31])
    batches = [Frequencies.of(count(documents[rows]), labels[rows]) for rows in (slice(0, 1), slice(1, None))]
    matrix = vectorizer().transform(documents)
    seen = [np.bincount(matrix[labels == label].indices, minlength=DIMENSIONS) for label in (0, 1)]
    first = np.bincount(matrix[:1].indices, minlength=DIMENSIONS)
    for least in (1, 2):
        columns, (before, numbers) = add_up([batches[:1], batches[1:]], least)
        np.testing.assert_array_equal(columns, np.flatnonzero(sum(seen) >= least))
        np.testing.assert_array_equal(numbers, [each[columns] for each in seen])
        np.testing.assert_array_equal(before, [np.zeros(len(columns)), first[columns]])
        together, (same,) = add_up([batches], least)
        np.testing.assert_array_equal((together, *same), (columns, *numbers))


def test_each_kernel_is_compiled_for_one_kind_of_arguments() -> None:
    """A second kind would cost every new process, and every image, the seconds of a second compilation."""
    count(["naïve"]), count(["good"] * 10)
    count_reviews(pa.array(["é", "a"]), pa.array(["good", "ü"])), count_reviews(pa.array([""]), pa.array(["good"]))
    assert len(hashing._hash_rows.signatures) == 1
    assert len(hashing._beyond_ascii.signatures) == 1


@pytest.mark.parametrize("place", ["a file", "folder"])
def test_kernels_run_with_and_without_a_writable_cache(tmp_path: Path, place: str) -> None:
    """A new process compiles or loads them, whether or not NUMBA_CACHE_DIR is a folder that can be written."""
    (tmp_path / "a file").write_text("")
    script = "from ratchet.features.hashing import count; print(len(count(['a good one']).terms))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / place)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
    assert any((tmp_path / "folder").rglob("*.nbc")) == (place == "folder")


def archived() -> Iterator[str]:
    """Every document of the archive: title and text of 140,152 reviews."""
    csv.field_size_limit(1 << 20)
    with tarfile.open(REVIEWS) as archive:
        for member in archive:
            if member.name.endswith(".csv"):
                file = archive.extractfile(member)
                assert file
                for _, title, text in csv.reader(io.TextIOWrapper(file, "utf-8", newline="")):
                    yield document(title, text)


@pytest.mark.skipif(REVIEWS is None, reason="RATCHET_TEST_REVIEWS names no archive of real reviews")
def test_all_real_reviews_are_counted_as_scikit_learn_counts_them() -> None:
    """All of the archive, some thousand reviews at a time."""
    rows, documents = 0, archived()
    while chunk := list(islice(documents, 10_000)):
        assert_same(count(chunk), chunk)
        rows += len(chunk)
    assert rows > 100_000
