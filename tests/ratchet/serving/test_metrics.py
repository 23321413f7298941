"""The metrics that Prometheus scrapes."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.serving import Api, Deployment, Mlflow, until_version, wait_until
from ratchet.serving.metrics import MEDIA_TYPE

REVIEWS = [{"text": "It works well and does not cost much."}, {"text": "It broke after a week. Terrible."}]
Samples = dict[tuple[str, ...], float]


def samples(client: httpx.Client) -> Samples:
    """Every sample by its name and its label values, in the order of the labels' names."""
    response = client.get("/metrics").raise_for_status()
    assert response.headers["content-type"] == MEDIA_TYPE
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_responses_are_counted_by_route_and_status(client: httpx.Client) -> None:
    """Refusals too; all unknown paths are one route, so that callers cannot create series."""
    client.post("/v1/predict", json={"reviews": REVIEWS}).raise_for_status()
    client.post("/v1/predict", json={"reviews": []})
    client.get("/v1/model", headers={"Authorization": ""})
    for path in ("/a", "/b", "/c"):
        client.get(path)
    found = samples(client)
    assert found["ratchet_requests_total", "/v1/predict", "200"] == 1
    assert found["ratchet_requests_total", "/v1/predict", "422"] == 1
    assert found["ratchet_requests_total", "/v1/model", "401"] == 1
    assert found["ratchet_requests_total", "other", "404"] == 3
    assert found["ratchet_request_seconds_count", "/v1/predict"] == 2
    assert found["ratchet_request_seconds_sum", "/v1/predict"] > 0


def test_predictions_are_counted_by_label_arm_and_version(client: httpx.Client) -> None:
    """The distribution of the probability is a histogram in tenths."""
    response = client.post("/v1/predict", json={"reviews": REVIEWS * 5}).raise_for_status().json()
    labels = [each["label"] for each in response["predictions"]]
    found = samples(client)
    for label in (0, 1):
        assert found["ratchet_predictions_total", "champion", str(label), "1"] == labels.count(label)
    total = sum(each["probability"] for each in response["predictions"])
    assert found["ratchet_probability_count",] == 10
    assert found["ratchet_probability_sum",] == pytest.approx(total)


def test_the_champion_has_version_age_and_problem(
    client: httpx.Client, deployment: Deployment, registered: Mlflow
) -> None:
    """A champion that cannot be served sets the problem gauge; the next sound one resets it."""
    before = samples(client)
    assert (before["ratchet_champion_version",], before["ratchet_champion_problem",]) == (1, 0)
    assert 0 < before["ratchet_champion_age_seconds",] < 600
    assert 0 <= before["ratchet_ledger_seconds",] < 600
    with registered.damaged(3):
        deployment.promote(3)
        wait_until(lambda: samples(client)["ratchet_champion_problem",] == 1)
        assert samples(client)["ratchet_champion_version",] == 1
    deployment.promote(2)
    until_version(client, 2)
    wait_until(lambda: samples(client)["ratchet_champion_problem",] == 0)
    assert samples(client)["ratchet_champion_version",] == 2


def test_without_a_champion_there_is_a_problem_and_no_version(deployment: Deployment, api: Api) -> None:
    """A value that is not known is left out."""
    with api(deployment.settings) as client:
        wait_until(lambda: ("ratchet_ledger_seconds",) in samples(client))
        found = samples(client)
    assert found["ratchet_champion_problem",] == 1
    assert ("ratchet_champion_version",) not in found
