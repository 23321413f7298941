"""Shadow mode: the challenger scores the champion's reviews, and no request waits for it or fails with it."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from harness.model_pair import CHALLENGER, CHAMPION
from harness.serving import Api, Deployment, Mlflow, until_version, wait_until
from ratchet.features.hashing import count
from ratchet.prediction_log.records import LogArm
from ratchet.serving.api.schemas import Review
from ratchet.serving.inference import shadow
from ratchet.serving.inference.predict import REVIEW_OVERHEAD, ArmPredictions
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.models.challenger import LoadedChallenger

TEXTS = ["It works well.", "It broke after a week."]


def predictions_of(arm: LogArm = "champion") -> ArmPredictions:
    counts = count(TEXTS)
    reviews = [Review(text=text) for text in TEXTS]
    return ArmPredictions(arm, 1, "", CHAMPION.model, reviews, counts, CHAMPION.model.probabilities(counts), "", 0.0)


def test_the_challenger_scores_what_the_champion_answered() -> None:
    """Listeners get the challenger's predictions for the same reviews, with the arm `shadow`."""
    received: list[ArmPredictions] = []
    shadow_mode, offered = Shadow(True, [received.append]), predictions_of()
    with shadow_mode.running():
        shadow_mode.submit([offered, predictions_of("challenger")], CHALLENGER)
    (found,) = received
    assert (found.arm, found.version, found.reviews) == ("shadow", 2, offered.reviews)
    assert found.probabilities.tolist() == CHALLENGER.model.read([""] * 2, TEXTS).tolist()
    same = (found.probabilities >= 0.5) == (offered.probabilities >= 0.5)
    assert shadow_mode.counts().model_dump() == {"read": 2, "agreed": int(same.sum()), "dropped": 0}


def test_reviews_beyond_the_limit_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a listener hangs, `submit` returns, the queue is bounded, and its reviews are scored afterwards."""
    back, received = threading.Event(), []
    size = sum(map(len, TEXTS)) + len(TEXTS) * REVIEW_OVERHEAD
    monkeypatch.setattr(shadow, "MAX_QUEUED", 10 * size)

    def hanging(reading: ArmPredictions) -> None:
        received.append(reading)
        back.wait()

    shadow_mode = Shadow(True, [hanging])
    with shadow_mode.running():
        for _ in range(15):
            shadow_mode.submit([predictions_of()], CHALLENGER)
        assert shadow_mode.counts().dropped == 5 * len(TEXTS)
        back.set()
    assert len(received) == 10
    assert shadow_mode.counts().read == 10 * len(TEXTS)


def test_an_unexpected_error_costs_one_request() -> None:
    """It is counted and logged without its message, and the queue behind it is scored."""
    received: list[ArmPredictions] = []

    def faulty(reading: ArmPredictions) -> None:
        received.append(reading)
        if len(received) == 1:
            raise ValueError("secret words of a review")

    shadow_mode = Shadow(True, [faulty])
    with capture_logs() as logged, shadow_mode.running():
        for _ in range(3):
            shadow_mode.submit([predictions_of()], CHALLENGER)
    assert (shadow_mode.counts().read, shadow_mode.counts().dropped) == (2 * len(TEXTS), len(TEXTS))
    assert shadow_mode._queued_size == 0
    assert [event["kind"] for event in logged] == ["ValueError"]
    assert "secret words" not in str(logged)


@pytest.mark.parametrize(("on", "challenger"), [(False, CHALLENGER), (True, None)])
def test_without_shadow_mode_or_challenger_nothing_is_scored(on: bool, challenger: LoadedChallenger | None) -> None:
    """Nothing is queued or counted."""
    shadow_mode = Shadow(on)
    with shadow_mode.running():
        shadow_mode.submit([predictions_of()], challenger)
    assert set(shadow_mode.counts().model_dump().values()) == {0}


def test_shadow_mode_changes_no_response(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """All predictions are the champion's; /v1/model counts the challenger's scores and how often both agreed."""
    registered.nominate(3)
    deployment.promote(1)
    with api(deployment.settings.model_copy(update={"serving_shadow": True})) as client:
        until_version(client, 1)
        wait_until(lambda: client.get("/v1/model").json()["experiment"]["challenger"] is not None)
        body = {"reviews": [{"text": text} for text in TEXTS * 50]}
        response = client.post("/v1/predict", json=body).raise_for_status().json()
        assert {(each["arm"], each["model_version"]) for each in response["predictions"]} == {("champion", 1)}
        wait_until(lambda: client.get("/v1/model").json()["experiment"]["shadowed"]["read"] == 100)
        shadowed = client.get("/v1/model").json()["experiment"]["shadowed"]
    labels = [[registered.reads(version, "", text) >= 0.5 for text in TEXTS] for version in (1, 3)]
    agreed = 50 * sum(first == second for first, second in zip(*labels, strict=True))
    assert shadowed == {"read": 100, "agreed": agreed, "dropped": 0}
