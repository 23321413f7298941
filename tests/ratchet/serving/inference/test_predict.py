"""From reviews to predictions: each arm predicts its own, marked with the experiment, and the order is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model_pair import CHALLENGER, CHAMPION
from ratchet.experiments.assignment import Experiment
from ratchet.serving.api.responses import predictions_in_order
from ratchet.serving.api.schemas import Review
from ratchet.serving.inference.predict import predict
from ratchet.serving.inference.routing import pair_models
from ratchet.serving.models.challenger import LoadedChallenger

REVIEWS = [Review(title="Kettle", text=f"It broke after {number} days.") for number in range(100)]


def test_both_arms_predict_their_own_reviews() -> None:
    """Every review is predicted once, by its arm, and the predictions are in the order of the reviews."""
    readings = predict(REVIEWS, pair_models(CHAMPION, CHALLENGER, 0.4), key="")
    drawn = [Experiment(1, 2, 0.4).arm(review.prediction_id) for review in REVIEWS]
    assert {(each.arm, each.version, each.experiment) for each in readings} == {
        ("champion", 1, "1/2/0.4"), ("challenger", 2, "1/2/0.4"),
    }  # fmt: skip
    found = predictions_in_order(REVIEWS, readings, 0)
    assert [each.prediction_id for each in found] == [review.prediction_id for review in REVIEWS]
    assert [each.arm for each in found] == drawn
    models = {"champion": CHAMPION.model, "challenger": CHALLENGER.model}
    for review, each in zip(REVIEWS, found, strict=True):
        assert each.probability == models[each.arm].read([review.title], [review.text])[0]
        assert each.label == int(each.probability >= 0.5)


def test_an_explanation_is_of_the_arm_that_predicted() -> None:
    """The same words have other contributions in the other version."""
    same = [Review(text="It broke after a week.", unit=f"customer-{number}") for number in range(50)]
    found = predictions_in_order(same, predict(same, pair_models(CHAMPION, CHALLENGER, 0.5), key=""), 3)
    explained = [(each.arm, each.explanation) for each in found if each.explanation is not None]
    assert len(explained) == len(found)
    scores = {arm: explanation.score for arm, explanation in explained}
    assert scores["champion"] != scores["challenger"]
    assert all(explanation.score == scores[arm] for arm, explanation in explained)


@pytest.mark.parametrize(
    ("challenger", "share"),
    [
        (None, 0.5),
        (CHALLENGER, 0.0),
        (replace(CHALLENGER, info=CHALLENGER.info.model_copy(update={"version": 1})), 1.0),
    ],
)
def test_reviews_that_were_not_drawn_are_not_marked(challenger: LoadedChallenger | None, share: float) -> None:
    """Without challenger or share, or if it has just become champion, the champion predicts, in no experiment."""
    (reading,) = predict(REVIEWS, pair_models(CHAMPION, challenger, share), key="")
    assert (reading.arm, reading.version, reading.experiment) == ("champion", 1, "")


def test_a_challenger_without_a_share_is_available_for_shadow_mode() -> None:
    """It predicts no reviews, but it is in the pair."""
    assert pair_models(CHAMPION, CHALLENGER, 0.0).challenger is CHALLENGER
