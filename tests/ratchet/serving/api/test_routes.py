"""The routes as callers see them: responses, limits, refusals, and the common form of all errors."""

from __future__ import annotations

import httpx
import pytest

from harness.serving import Api, Deployment, Mlflow, problem, until_version
from ratchet.errors import ConfigurationError
from ratchet.model.artifact import CARD, WEIGHTS
from ratchet.serving.app import create_app
from ratchet.serving.middleware.auth import OPEN
from ratchet.serving.settings import ServingSettings

HASH = "0123456789abcdef" * 4
REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}


def test_predictions_are_in_the_order_of_the_reviews(client: httpx.Client, registered: Mlflow) -> None:
    """Each has label, prediction_id and exactly the probability of the trained model; all have one version."""
    reviews = [{**REVIEW, "prediction_id": "order-1"}, {"text": "It broke after a week. Terrible."}]
    response = client.post("/v1/predict", json={"reviews": reviews}).raise_for_status().json()
    first, second = response["predictions"]
    assert response["model_version"] == 1
    assert first["prediction_id"] == "order-1"
    assert len(second["prediction_id"]) == 36
    assert first["probability"] == registered.reads(1, REVIEW["title"], REVIEW["text"])
    assert second["probability"] == registered.reads(1, "", reviews[1]["text"])
    assert [each["label"] for each in (first, second)] == [int(each["probability"] >= 0.5) for each in (first, second)]


def test_a_request_has_at_most_a_thousand_reviews(client: httpx.Client) -> None:
    """1 and 1,000 are predicted; 0 and 1,001 are refused with their location."""
    for many in (1, 1_000):
        response = client.post("/v1/predict", json={"reviews": [REVIEW] * many}).raise_for_status()
        assert len(response.json()["predictions"]) == many
    for many in (0, 1_001):
        response = client.post("/v1/predict", json={"reviews": [REVIEW] * many})
        assert response.status_code == 422
        assert "reviews" in problem(response)["errors"]


def test_explanations_are_returned_on_request(client: httpx.Client) -> None:
    """The contributions of a review's words, the intercept and all others sum to the score."""
    long = {"title": "Terrible design", "text": "I want my money back. Do not buy this."}
    body = {"reviews": [long, REVIEW, {"text": "?"}]}
    response = client.post("/v1/predict", json=body | {"explain": 4}).raise_for_status().json()
    assert "explanation" not in client.post("/v1/predict", json=body).json()["predictions"][0]
    for review, each in zip(body["reviews"], response["predictions"], strict=True):
        found = each["explanation"]
        parts = [found["intercept"], found["others"], *(term["contribution"] for term in found["terms"])]
        assert sum(parts) == pytest.approx(found["score"], abs=1e-5)
        assert len(found["terms"]) <= 4
        words = f"{review.get('title', '')} {review['text']}".lower().replace(".", "")
        assert all(term["term"] in words for term in found["terms"])
    assert [len(each["explanation"]["terms"]) for each in response["predictions"][::2]] == [4, 0]


INVALID = {
    "no JSON": (b'{"reviews": ', "body"),
    "no text": (b'{"reviews": [{"title": "secret words"}]}', "reviews.0.text"),
    "empty text": (b'{"reviews": [{"text": ""}]}', "reviews.0.text"),
    "long text": (b'{"reviews": [{"text": "%s"}]}' % (b"x" * 100_001), "reviews.0.text"),
    "odd id": (b'{"reviews": [{"text": "x", "prediction_id": "a b"}]}', "reviews.0.prediction_id"),
    "same id": (b'{"reviews": [{"text": "x", "prediction_id": "a"}, {"text": "y", "prediction_id": "a"}]}', "reviews"),
    "odd unit": (b'{"reviews": [{"text": "x", "unit": ""}]}', "reviews.0.unit"),
    "too many terms": (b'{"reviews": [{"text": "x"}], "explain": 51}', "explain"),
    "terms by yes": (b'{"reviews": [{"text": "x"}], "explain": true}', "explain"),
    "unknown field": (b'{"reviews": [{"text": "x", "stars": 5}]}', "reviews.0.stars"),
    "half a character": (b'{"reviews": [{"text": "x\\ud800"}]}', "body"),
    "a field named by half a character": (b'{"reviews": [{"text": "x", "\\ud800": 5}]}', "body"),
}


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 422), (None, 422), ("application/problem+json; x=y", 200)])
def test_a_body_must_declare_json(client: httpx.Client, kind: str | None, status: int) -> None:
    """Another content type is refused, even if the body is JSON."""
    headers = {"Content-Type": kind} if kind else {}
    response = client.post("/v1/predict", content=b'{"reviews": [{"text": "Great value"}]}', headers=headers)
    assert response.status_code == status
    if status == 422:
        assert problem(response)["errors"] == {"body": "Send JSON, as Content-Type: application/json"}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_body_is_refused_with_its_location(client: httpx.Client, name: str) -> None:
    """The response names the location in the body and quotes nothing of it."""
    content, place = INVALID[name]
    response = client.post("/v1/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert place in problem(response)["errors"]
    assert "secret words" not in response.text


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"reviews": ' + b"9" * 5_000, b'"\xff"'], ids=["deep", "long", "odd"]
)
def test_malformed_json_is_refused(client: httpx.Client, content: bytes) -> None:
    """JSON deeper than Python's stack, a number longer than it parses, or invalid UTF-8 is a 4xx, not a 500."""
    response = client.post("/v1/predict", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    assert problem(response)


@pytest.mark.parametrize(
    "body",
    [
        {"reviews": [REVIEW]} | dict.fromkeys(map(hex, range(60_000))),
        {"reviews": [{"text": "x"} | dict.fromkeys(map(hex, range(60)))] * 1_000},
        {"reviews": [{"text": 1, "title": 1, "unit": 1, "prediction_id": 1}] * 1_000},
    ],
    ids=["fields of the body", "fields of reviews", "reviews"],
)
def test_the_number_of_reported_errors_is_limited(client: httpx.Client, body: dict[str, object]) -> None:
    """The response is short, and still names some of the errors."""
    response = client.post("/v1/predict", json=body)
    assert response.status_code == 422
    assert 0 < len(problem(response)["errors"]) <= 100
    assert len(response.content) < 10_000


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic a-key-for-tests", "a-key-for-tests"])
def test_every_path_but_two_needs_a_key(client: httpx.Client, authorization: str | None) -> None:
    """Known and unknown paths return 401 without one; /health and /ready need none."""
    del client.headers["Authorization"]
    headers = {"Authorization": authorization} if authorization else {}
    for path in ("/v1/predict", "/v1/model", "/openapi.json", "/nothing", "/health/"):
        for method in ("GET", "POST"):
            response = client.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "Bearer KEY" in problem(response)["detail"]
    assert [client.get(path, headers=headers).status_code for path in sorted(OPEN)] == [200, 200]


def test_the_model_route_returns_the_origin_of_the_model(
    client: httpx.Client, deployment: Deployment, registered: Mlflow
) -> None:
    """Version, window, digests, time and reasons, and that the ledger names this version."""
    found = client.get("/v1/model").raise_for_status().json()
    trained = registered.trained(1)
    assert found["promotion"] | {"promoted_at": ""} == {
        "version": 1, "epoch": 1, "window": "0-0", "candidate": "linear-svc", "model_digest": trained.digest,
        "decision": 1, "promoted_at": "", "promoted_by": "the gate", "reasons": ["version 1 is better"],
    }  # fmt: skip
    assert found["promotion"]["promoted_at"].startswith("20")
    assert found["sha256"] == {name: trained.output(name).sha256 for name in (CARD, WEIGHTS)}
    assert (found["champion"], found["problem"]) == ({"epoch": 1, "version": 1}, "")


def test_openapi_describes_schemas_and_errors(client: httpx.Client) -> None:
    """Schemas, examples, the key, and each problem with its media type; unknown paths and methods are problems, too."""
    page = client.get("/openapi.json").raise_for_status().json()
    refusals = page["paths"]["/v1/predict"]["post"]["responses"]
    assert {status for status in refusals if "application/problem+json" in refusals[status]["content"]} == {
        "400", "401", "403", "408", "413", "415", "422", "429", "503"
    }  # fmt: skip
    assert set(page["components"]["schemas"]) >= {
        "PredictRequest", "PredictResponse", "FeedbackRequest", "FeedbackItem", "FeedbackResponse", "FeedbackResult",
        "Liveness", "Readiness", "ModelInfo", "ExperimentStatus", "ChallengerInfo",
    }  # fmt: skip
    assert page["components"]["schemas"]["Review"]["properties"]["text"]["examples"]
    assert page["paths"]["/v1/predict"]["post"]["security"]
    for path in ("/nothing", "/predict", "/feedback", "/model"):
        assert problem(client.get(path))["status"] == 404
    assert problem(client.get("/v1/predict"))["status"] == 405


def test_without_a_champion_requests_get_503(deployment: Deployment, api: Api) -> None:
    """The process is alive and not ready; callers get Retry-After, and with a key the reason."""
    with api(deployment.settings) as client:
        assert client.get("/health").json() == {"status": "alive"}
        for method, path in (("GET", "/ready"), ("POST", "/v1/predict"), ("GET", "/v1/model")):
            response = client.request(method, path, json={"reviews": [REVIEW]})
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert "model" in problem(response)["detail"] or "ledger" in problem(response)["detail"]
        deployment.promote(1)
        until_version(client, 1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "names no API key"),
        ("hunter2", "no SHA-256"),
        (f"me:predict:{'hunter2':0>64}", "no SHA-256"),
        (f"me and you:predict:{HASH}", "a name is"),
        (f"me:everything:{HASH}", "roles other than"),
        (f"me::{HASH}", "roles other than"),
        (f"me:predict:{HASH},you:admin:{HASH}", "twice"),
        (f"me:predict:{HASH},me:admin:{HASH[::-1]}", "twice"),
    ],
)
def test_without_valid_keys_the_service_does_not_start(deployment: Deployment, keys: str, message: str) -> None:
    """The message explains how to make a key, and quotes none."""
    settings = ServingSettings(**deployment.settings.model_dump() | {"serving_keys": keys})
    with pytest.raises(ConfigurationError, match=message) as caught:
        create_app(settings)
    assert ("sha256sum" in str(caught.value)) == (message in {"names no API key", "no SHA-256"})
    assert "hunter2" not in str(caught.value)
