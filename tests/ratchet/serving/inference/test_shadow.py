"""Shadow mode: the challenger reads along, and no answer waits for it, whatever happens to it."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from harness.model_pair import CHALLENGER, CHAMPION
from harness.serving import Api, Mlflow, Stage, until_version, wait_until
from ratchet.features.hashing import count
from ratchet.prediction_log.records import LogArm
from ratchet.serving.api.schemas import Review
from ratchet.serving.inference import shadow
from ratchet.serving.inference.predict import REVIEW_OVERHEAD, ArmPredictions
from ratchet.serving.inference.shadow import Shadow
from ratchet.serving.models.challenger import LoadedChallenger

TEXTS = ["It works well.", "It broke after a week."]


def answered(arm: LogArm = "champion") -> ArmPredictions:
    counts = count(TEXTS)
    reviews = [Review(text=text) for text in TEXTS]
    return ArmPredictions(arm, 1, "", CHAMPION.model, reviews, counts, CHAMPION.model.probabilities(counts), "", 0.0)


def test_the_challenger_reads_what_the_champion_answered() -> None:
    """The same reviews, as the challenger would have answered them, are told under the arm `shadow`."""
    told: list[ArmPredictions] = []
    shadow_mode, offered = Shadow(True, [told.append]), answered()
    with shadow_mode.running():
        shadow_mode.submit([offered, answered("challenger")], CHALLENGER)
    (found,) = told
    assert (found.arm, found.version, found.reviews) == ("shadow", 2, offered.reviews)
    assert found.probabilities.tolist() == CHALLENGER.model.read([""] * 2, TEXTS).tolist()
    same = (found.probabilities >= 0.5) == (offered.probabilities >= 0.5)
    assert shadow_mode.counts().model_dump() == {"read": 2, "agreed": int(same.sum()), "dropped": 0}


def test_too_much_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener hangs: offers return all the same, what waits is bounded, and it is read once the listener is back."""
    back, told = threading.Event(), []
    size = sum(map(len, TEXTS)) + len(TEXTS) * REVIEW_OVERHEAD
    monkeypatch.setattr(shadow, "MAX_QUEUED", 10 * size)

    def hanging(reading: ArmPredictions) -> None:
        told.append(reading)
        back.wait()

    shadow_mode = Shadow(True, [hanging])
    with shadow_mode.running():
        for _ in range(15):
            shadow_mode.submit([answered()], CHALLENGER)
        assert shadow_mode.counts().dropped == 5 * len(TEXTS)
        back.set()
    assert len(told) == 10
    assert shadow_mode.counts().read == 10 * len(TEXTS)


def test_a_fault_costs_the_shadow_one_request() -> None:
    """It is counted and logged without its message, and what waits behind it is read."""
    told: list[ArmPredictions] = []

    def faulty(reading: ArmPredictions) -> None:
        told.append(reading)
        if len(told) == 1:
            raise ValueError("secret words of a review")

    shadow_mode = Shadow(True, [faulty])
    with capture_logs() as logged, shadow_mode.running():
        for _ in range(3):
            shadow_mode.submit([answered()], CHALLENGER)
    assert (shadow_mode.counts().read, shadow_mode.counts().dropped) == (2 * len(TEXTS), len(TEXTS))
    assert shadow_mode._queued_size == 0
    assert [event["kind"] for event in logged] == ["ValueError"]
    assert "secret words" not in str(logged)


@pytest.mark.parametrize(("on", "challenger"), [(False, CHALLENGER), (True, None)])
def test_without_shadow_mode_or_challenger_nothing_is_read(on: bool, challenger: LoadedChallenger | None) -> None:
    """Nothing waits, nothing is counted."""
    shadow_mode = Shadow(on)
    with shadow_mode.running():
        shadow_mode.submit([answered()], challenger)
    assert set(shadow_mode.counts().model_dump().values()) == {0}


def test_nobody_notices_a_shadow(stage: Stage, api: Api, registered: Mlflow) -> None:
    """Every answer is the champion's; /v1/model says that the challenger read them all, and how often both agreed."""
    registered.nominate(3)
    stage.promote(1)
    with api(stage.settings.model_copy(update={"serving_shadow": True})) as client:
        until_version(client, 1)
        wait_until(lambda: client.get("/v1/model").json()["experiment"]["challenger"] is not None)
        asked = {"reviews": [{"text": text} for text in TEXTS * 50]}
        answer = client.post("/v1/predict", json=asked).raise_for_status().json()
        assert {(each["arm"], each["model_version"]) for each in answer["predictions"]} == {("champion", 1)}
        wait_until(lambda: client.get("/v1/model").json()["experiment"]["shadowed"]["read"] == 100)
        shadowed = client.get("/v1/model").json()["experiment"]["shadowed"]
    labels = [[registered.reads(version, "", text) >= 0.5 for text in TEXTS] for version in (1, 3)]
    agreed = 50 * sum(first == second for first, second in zip(*labels, strict=True))
    assert shadowed == {"read": 100, "agreed": agreed, "dropped": 0}
