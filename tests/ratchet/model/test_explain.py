"""Explanations name the featurizer's own n-grams, and their contributions sum to the score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.features.featurize import vectorizer
from ratchet.features.hashing import count
from ratchet.features.ngram_counts import DIMENSIONS
from ratchet.model.artifact import Card, Model
from ratchet.model.explain import explain, named

AWKWARD = "aAzZ09_ .'-\n\0İıſKßẞΣσςÅåﬁé\u0301\u00ad\u200b、没有１Ⅷ²½ऀक😀𝔸\ud800"

texts = st.one_of(
    st.text(),
    st.text(st.sampled_from(AWKWARD)),
    st.lists(st.sampled_from(["good", "Good", "a", "x1", "_", "ΣΑΣ", "İx", "so-so", "not"])).map(" ".join),
    st.builds(lambda word, times: f"{word} " * times, st.sampled_from(["aa", "ΟΔΟΣ", "b c"]), st.integers(0, 3000)),
)


def model(seed: int = 0, known: float = 0.7) -> Model:
    """A model with weights for a random part of all columns."""
    rng = np.random.default_rng(seed)
    columns = np.flatnonzero(rng.random(DIMENSIONS) < known).astype(np.uint32)
    idf, coefficients = (rng.random((2, len(columns))) + np.array([[1], [-0.5]])).astype(np.float32)
    return Model(Card(candidate="linear-svc", window="0-0", intercept=0.1), columns, idf, coefficients)


MODEL, ALL = model(), DIMENSIONS


@settings(deadline=None, max_examples=300)
@given(texts)
def test_the_terms_are_those_of_scikit_learn(document: str) -> None:
    """Every n-gram that HashingVectorizer makes of any text is named, for the column into which it hashes it."""
    theirs = sorted(set(vectorizer().build_analyzer()(document)))
    hashed = vectorizer()._get_hasher().transform([[term] for term in theirs]) if theirs else None
    expected = dict(zip(theirs, hashed.indices.tolist() if theirs else [], strict=True))
    columns = count([document]).columns
    found = named(document, columns)
    assert {term: column for column, terms in found.items() for term in terms} == expected
    assert sorted(found) == columns.tolist()


@settings(deadline=None, max_examples=300)
@given(texts, st.integers(1, 20))
def test_the_parts_sum_to_the_score(document: str, most: int) -> None:
    """Intercept and contributions sum to the score of the model's kernel, for any number of named terms."""
    counts = count([document])
    parts, all_parts = explain(MODEL, document, counts, most), explain(MODEL, document, counts, ALL)
    for each in (parts, all_parts):
        assert each.score == pytest.approx(MODEL.scores(counts)[0], abs=1e-5)
        total = each.intercept + sum(weight for _, weight in each.terms) + each.others
        assert total == pytest.approx(each.score, abs=1e-5)
    assert all_parts.others == 0
    assert parts.terms == all_parts.terms[:most]
    weights = [abs(weight) for _, weight in all_parts.terms]
    assert weights == sorted(weights, reverse=True)
    assert 0 not in weights


def test_words_that_share_a_column_are_named_together() -> None:
    """The model cannot distinguish them, so the explanation names both; each word occurs once."""
    words = [f"w{number}" for number in range(10_000)]
    columns = count(words).columns
    first = next(number for number in range(len(words)) if (columns[:number] == columns[number]).any())
    second = int(np.flatnonzero(columns[:first] == columns[first])[0])
    document = f"{words[first]} {words[second]} {words[first]}"
    parts = explain(model(known=1.0), document, count([document]), ALL)
    assert f"{words[first]} / {words[second]}" in dict(parts.terms)
    assert len(parts.terms) == 3  # of both words, and of two pairs


def test_a_contribution_has_the_sign_of_its_label() -> None:
    """Positive words are above 0, negative ones below, and words that the model does not know are left out."""
    columns = count(["great", "awful"]).columns
    order = np.argsort(columns)
    idf, coefficients = np.ones(2, np.float32), np.array([2.0, -1.0], np.float32)
    small = Model(MODEL.card, columns[order], idf, coefficients[order])
    document = "Great sound, awful cable"
    assert [(term, round(weight, 3)) for term, weight in explain(small, document, count([document]), ALL).terms] == [
        ("great", round(2 / 2**0.5, 3)),
        ("awful", round(-1 / 2**0.5, 3)),
    ]


@pytest.mark.parametrize("document", ["", "a", "!"])
def test_a_review_without_words_has_the_intercept_alone(document: str) -> None:
    """There are no terms, and no division by zero."""
    parts = explain(MODEL, document, count([document]), ALL)
    assert (parts.terms, parts.others, parts.score) == ([], 0, MODEL.card.intercept)
