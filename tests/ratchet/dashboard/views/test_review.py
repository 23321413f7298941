"""The page Try a review, against a fake API with responses of the real format."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from harness.dashboard import UNREACHABLE, charts, fake_api, metrics, page, text

PREDICTION = {"prediction_id": "1", "label": 1, "probability": 0.9312}
TERMS = [{"term": "works well", "contribution": 1.25}, {"term": "weak", "contribution": -0.5}]
EXPLANATION = {"score": 1.0, "intercept": 0.05, "terms": TERMS, "others": 0.2}


def submitted() -> AppTest:
    """The page after its button was pressed."""
    found: AppTest = page("review").run()
    assert not charts(found)
    found.button[0].click().run()
    assert not found.exception
    return found


def test_a_review_is_classified_and_explained(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label, probability, version, and a bar for each word; the API receives title and text."""
    body = {"model_version": 3, "predictions": [PREDICTION | {"explanation": EXPLANATION}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch) as bodies:
        found = submitted()
    assert metrics(found) == {
        "Prediction": "positive", "Probability of positive": "93.1%", "Model": "version 3",
    }  # fmt: skip
    assert charts(found) == 1
    assert "add up to a score of +1.00" in text(found)
    assert bodies[0]["reviews"][0]["title"] == "Great value"
    assert bodies[0]["explain"] > 0


def test_a_prediction_without_an_explanation_is_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows it, and the reason why the explanation is missing."""
    body = {"model_version": 3, "predictions": [PREDICTION | {"label": 0, "probability": 0.1}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        found = submitted()
    assert metrics(found)["Prediction"] == "negative"
    assert "This API does not explain its predictions" in text(found)


def test_a_review_of_unknown_words_has_an_empty_explanation(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page distinguishes an empty explanation from a missing one."""
    body = {"model_version": 3, "predictions": [PREDICTION | {"explanation": EXPLANATION | {"terms": []}}]}
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        assert "The model knows no word of this review" in text(submitted())


@pytest.mark.parametrize(("status", "message"), [
    (401, "Correct RATCHET_DASHBOARD_API_KEY."),
    (403, "The API's key may not use /v1/predict"),
    (404, "has no /v1/predict: update it"),
    (422, "The API refuses this request: it is too long"),
    (429, "The API refused /v1/predict with status 429: it is too long"),
    (503, "The API cannot answer now: it is too long"),
])  # fmt: skip
def test_a_refusal_is_shown_with_its_remedy(
    store: Path, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    """The page shows the detail of the API's response where it has one."""
    with fake_api({"/v1/predict": (status, {"detail": "it is too long"})}, monkeypatch):
        assert message in text(submitted())


@pytest.mark.parametrize("body", ["<html>", [], {"status": "ok"}])
def test_a_response_of_another_service_is_an_error(store: Path, monkeypatch: pytest.MonkeyPatch, body: object) -> None:
    """HTML with status 200, and JSON without the required fields."""
    with fake_api({"/v1/predict": (200, body)}, monkeypatch):
        assert "is not the API. Correct RATCHET_DASHBOARD_API." in text(submitted())


def test_an_api_that_is_down_is_an_error(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the button is pressed; before, the page sends no request."""
    monkeypatch.setenv("RATCHET_DASHBOARD_API", f"http://{UNREACHABLE}")
    found = submitted()
    assert "The API is not available" in text(found)
    assert "ratchet serve" in text(found)


def test_an_empty_text_is_not_sent(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API would reject it."""
    with fake_api({}, monkeypatch) as bodies:
        found = page("review").run()
        found.text_area[0].set_value("  ")
        found.button[0].click().run()
    assert "The text is empty" in text(found)
    assert bodies == []
