"""The page to try a review, against an API that answers as the contract says."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from harness.dashboard import AWAY, charts, facts, fake_api, page, text

ANSWER = {"prediction_id": "1", "label": 1, "probability": 0.9312}
TERMS = [{"term": "works well", "contribution": 1.25}, {"term": "weak", "contribution": -0.5}]
PARTS = {"score": 1.0, "intercept": 0.05, "terms": TERMS, "others": 0.2}


def asked() -> AppTest:
    """The page after its button was pressed."""
    found = page("review").run()
    assert not charts(found)
    found.button[0].click().run()
    assert not found.exception
    return found


def test_a_review_is_read_and_its_words_are_weighed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label, probability, version, and a bar for each word; the API got title and text."""
    body = {"model_version": 3, "predictions": [ANSWER | {"explanation": PARTS}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch) as bodies:
        found = asked()
    assert facts(found) == {
        "It reads as": "positive", "Probability of positive": "93.1%", "Answered by": "version 3",
    }  # fmt: skip
    assert charts(found) == 1
    assert "add up to a score of +1.00" in text(found)
    assert bodies[0]["reviews"][0]["title"] == "Great value"
    assert bodies[0]["explain"] > 0


def test_an_answer_without_an_explanation_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer stays."""
    body = {"model_version": 3, "predictions": [ANSWER | {"label": 0, "probability": 0.1}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        found = asked()
    assert facts(found)["It reads as"] == "negative"
    assert "This API cannot tell which words weighed" in text(found)


def test_a_review_of_unknown_words_has_nothing_to_weigh(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty explanation is not a missing one."""
    body = {"model_version": 3, "predictions": [ANSWER | {"explanation": PARTS | {"terms": []}}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        assert "No word of this review is known" in text(asked())


@pytest.mark.parametrize(("status", "says"), [
    (401, "Correct RATCHET_DASHBOARD_API_KEY."),
    (403, "The API's key may not ask /v1/predict"),
    (404, "has no /v1/predict: update it"),
    (422, "The API does not take this: it is too long"),
    (429, "The API refused /v1/predict with 429: it is too long"),
    (503, "The API cannot answer now: it is too long"),
])  # fmt: skip
def test_a_refusal_is_told_with_what_to_do(
    store: Path, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    """In the API's own words where only it knows."""
    with fake_api({"/v1/predict": (status, {"detail": "it is too long"})}, monkeypatch):
        assert says in text(asked())


@pytest.mark.parametrize("body", ["<html>", [], {"status": "ok"}])
def test_something_else_than_the_api_is_told(store: Path, monkeypatch: pytest.MonkeyPatch, body: object) -> None:
    """A page of HTML with status 200 is no answer, nor is another service's JSON."""
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        assert "is not the API. Correct RATCHET_DASHBOARD_API." in text(asked())


def test_an_api_that_is_down_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the button; before, nobody asked."""
    monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://{AWAY}")
    found = asked()
    assert "The API is not available" in text(found)
    assert "ratchet serve" in text(found)


def test_an_empty_text_is_not_asked_about(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API would refuse it."""
    with fake_api({}, monkeypatch) as bodies:
        found = page("review").run()
        found.text_area[0].set_value("  ")
        found.button[0].click().run()
    assert "There is no text to read" in text(found)
    assert bodies == []
