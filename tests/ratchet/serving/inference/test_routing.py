"""Challenger beside champion: each review keeps its arm, and a damaged challenger costs no response."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from harness.ledger import gate_record
from harness.serving import Api, Deployment, Mlflow, until_version, wait_until
from ratchet.experiments.assignment import Experiment
from ratchet.ledger.approval import Approval
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory
from ratchet.ledger.store import Ledger
from ratchet.model.artifact import WEIGHTS
from ratchet.model.registry_tags import FILE
from ratchet.serving.models.challenger import ChallengerSource, excluded
from ratchet.serving.models.follower import ModelFollower
from ratchet.serving.models.mlflow_source import ChallengerInfo, open_registry
from ratchet.serving.settings import ServingSettings

REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}


def follower_of(settings: ServingSettings) -> ModelFollower[ChallengerInfo]:
    """A follower of the challenger that polls only when the test calls `refresh`."""
    return ModelFollower(ChallengerSource(settings), 1.0)


def sharing(deployment: Deployment, share: float, **more: Any) -> ServingSettings:
    return deployment.settings.model_copy(update={"serving_challenger_share": share, **more})


def experiment_of(client: httpx.Client) -> Any:
    return client.get("/v1/model").raise_for_status().json()["experiment"]


def until_challenger(client: httpx.Client, version: int) -> None:
    wait_until(lambda: (experiment_of(client)["challenger"] or {}).get("version") == version)


def predict(client: httpx.Client, reviews: list[dict[str, str]]) -> Any:
    return client.post("/v1/predict", json={"reviews": reviews}).raise_for_status().json()["predictions"]


def test_each_review_is_predicted_by_its_arm(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """The challenger gets about its share; every prediction has the probability of the version that it names."""
    expected = {
        ("champion", 1, registered.reads(1, REVIEW["title"], REVIEW["text"])),
        ("challenger", 3, registered.reads(3, REVIEW["title"], REVIEW["text"])),
    }
    registered.nominate(3)
    deployment.promote(1)
    reviews = [REVIEW | {"prediction_id": f"order-{number}"} for number in range(1_000)]
    with api(sharing(deployment, 0.3)) as client:
        until_version(client, 1)
        until_challenger(client, 3)
        found = predict(client, reviews)
        assert predict(client, reviews[::-1]) == found[::-1]
    assert [each["prediction_id"] for each in found] == [review["prediction_id"] for review in reviews]
    assert {(each["arm"], each["model_version"], each["probability"]) for each in found} == expected
    drawn = [Experiment(1, 3, 0.3).arm(review["prediction_id"]) for review in reviews]
    assert [each["arm"] for each in found] == drawn
    assert 220 < Counter(drawn)["challenger"] < 380  # more than five standard deviations either way


def test_a_unit_keeps_its_arm(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """The arm is the same in all requests and for any prediction_id."""
    registered.nominate(3)
    deployment.promote(1)
    reviews = [REVIEW | {"unit": f"customer-{number % 20}"} for number in range(200)]
    with api(sharing(deployment, 0.5)) as client:
        until_version(client, 1)
        until_challenger(client, 3)
        found = predict(client, reviews) + predict(client, reviews)
    arms = {(review["unit"], each["arm"]) for review, each in zip(reviews * 2, found, strict=True)}
    assert len(arms) == 20
    assert {arm for _, arm in arms} == {"champion", "challenger"}


def test_the_challenger_is_off_by_default(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """MLflow is not queried for one, and the champion answers all reviews."""
    registered.nominate(3)
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
        assert experiment_of(client) is None
        assert {(each["arm"], each["model_version"]) for each in predict(client, [REVIEW] * 50)} == {("champion", 1)}


def test_a_damaged_challenger_leaves_all_reviews_to_the_champion(
    deployment: Deployment, api: Api, registered: Mlflow
) -> None:
    """The champion serves on, /v1/model has the reason, and the next sound challenger takes part."""
    registered.nominate(3)
    deployment.promote(1)
    with api(sharing(deployment, 1)) as client, registered.damaged(3):
        until_version(client, 1)
        wait_until(lambda: bool(experiment_of(client)["problem"]))
        assert f"{WEIGHTS} of version 3" in experiment_of(client)["problem"]
        assert client.get("/v1/model").json()["problem"] == ""
        assert {(each["arm"], each["model_version"]) for each in predict(client, [REVIEW] * 50)} == {("champion", 1)}
        registered.nominate(2)
        until_challenger(client, 2)
        wait_until(lambda: experiment_of(client)["problem"] == "")
        assert {(each["arm"], each["model_version"]) for each in predict(client, [REVIEW] * 50)} == {("challenger", 2)}


def test_a_challenger_that_becomes_champion_is_champion(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """After its promotion it answers all reviews as champion; after a rollback it answers none."""
    registered.nominate(3)
    deployment.promote(1)
    with api(sharing(deployment, 0.5)) as client:
        until_version(client, 1)
        until_challenger(client, 3)
        deployment.promote(3)
        until_version(client, 3)
        assert {(each["arm"], each["model_version"]) for each in predict(client, [REVIEW] * 50)} == {("champion", 3)}
        wait_until(lambda: "is the champion now" in experiment_of(client)["absence"])
        deployment.promote(1, action="rollback")
        until_version(client, 1)
        wait_until(lambda: "withdrawn in decision 3" in experiment_of(client)["absence"])
        assert {(each["arm"], each["model_version"]) for each in predict(client, [REVIEW] * 50)} == {("champion", 1)}


def test_no_request_notices_a_change_of_challenger(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """Under load the alias moves six times; every response is 200 and has the probability of the version it names."""
    expected = {(version, registered.reads(version, REVIEW["title"], REVIEW["text"])) for version in (1, 2, 3)}
    registered.nominate(3)
    deployment.promote(1)
    stop = threading.Event()

    def load(client: httpx.Client) -> set[tuple[int, float]]:
        seen = set()
        while not stop.is_set():
            seen |= {(each["model_version"], each["probability"]) for each in predict(client, [REVIEW] * 20)}
        return seen

    with api(sharing(deployment, 0.5)) as client, ThreadPoolExecutor(2) as callers:
        until_version(client, 1)
        futures = [callers.submit(load, client) for _ in range(2)]
        try:
            for version in [3, 2] * 3:
                registered.nominate(version)
                until_challenger(client, version)
        finally:
            stop.set()
        assert set.union(*(future.result() for future in futures)) == expected


def test_a_challenger_of_unknown_bytes_is_refused(deployment: Deployment, registered: Mlflow) -> None:
    """Without its digests among MLflow's tags, its files cannot be verified."""
    registered.nominate(3)
    deployment.promote(1)
    with registered.without_tag(3, f"{FILE}{WEIGHTS}"):
        found = follower_of(sharing(deployment, 0.5))
        found.refresh()
    assert found.current is None
    assert f"no tag '{FILE}{WEIGHTS}'" in found.problem


def test_without_a_registered_model_there_is_no_challenger(deployment: Deployment, registered: Mlflow) -> None:
    """Before the first registration there is none and no problem; a wrong MLflow address is a problem."""
    other = sharing(deployment, 0.5, registered_model="another-model")
    source = ChallengerSource(other)
    found = ModelFollower(source, 1.0)
    found.refresh()
    assert (found.current, found.problem) == (None, "")
    assert "There is no challenger" in found.absence
    source.settings = sharing(deployment, 0.5, tracking=SecretStr(f"{registered.uri}/api/2.0/mlflow/experiments"))
    found.refresh()
    assert found.current is None
    assert "MLflow" in found.problem


@pytest.mark.parametrize("body", ["[]", "null", '"up"', '{"registered_model": 3}', "<html>"])
def test_a_response_of_another_server_than_mlflow_is_a_problem(deployment: Deployment, body: str) -> None:
    """A portal or a proxy may return anything; the loaded models stay."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Writes no log."""

    deployment.promote(1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        threading.Thread(target=portal.serve_forever).start()
        tracking = SecretStr(f"http://127.0.0.1:{portal.server_address[1]}")
        found = follower_of(sharing(deployment, 0.5, tracking=tracking))
        try:
            found.refresh()
        finally:
            portal.shutdown()
    assert found.current is None
    assert "MLflow did not answer" in found.problem


def test_a_challenger_that_was_judged_on_other_bytes_is_refused(deployment: Deployment, registered: Mlflow) -> None:
    """The digest in the ledger's evidence is binding, as for a champion."""
    registered.nominate(3)
    deployment.promote(1)
    ledger = Ledger(deployment.settings.ledger_url, deployment.settings.registered_model)
    kept = Decision(
        subject="week", action="keep", version=3, previous=1, reasons=["no better"], gate=gate_record(3, "another")
    )
    ledger.record(kept, ledger.champion())
    found = follower_of(sharing(deployment, 0.5))
    found.refresh()
    assert found.current is None
    assert "not the model that was judged" in found.problem


def test_a_challenger_stays_while_mlflow_is_down(deployment: Deployment, registered: Mlflow) -> None:
    """The experiment goes on without MLflow; but a version that the ledger withdraws is dropped at once."""
    registered.nominate(3)
    deployment.promote(1)
    source = ChallengerSource(sharing(deployment, 0.5))
    found = ModelFollower(source, 1.0)
    found.refresh()
    assert found.current is not None
    source.settings = sharing(deployment, 0.5, tracking=deployment.without_services().tracking)
    found.refresh()
    assert found.current is not None
    assert "did not answer" in found.problem
    deployment.promote(3)
    deployment.promote(1, action="rollback")
    found.refresh()
    assert found.current is None
    assert "withdrawn" in found.absence


def test_the_challenger_has_a_cache_of_its_own(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """It is downloaded once, even if the champions' cache deletes files; damaged files are downloaded again."""
    registered.nominate(3)
    deployment.promote(1)
    with api(sharing(deployment, 0.5)) as client:
        until_version(client, 1)
        until_challenger(client, 3)
        deployment.promote(2)
        until_version(client, 2)
    with registered.damaged(3):
        found = follower_of(sharing(deployment, 0.5))
        found.refresh()
        assert found.current is not None
    (folder,) = (deployment.settings.serving_cache / "challenger").iterdir()
    (folder / WEIGHTS).write_bytes(b"nothing")
    again = follower_of(sharing(deployment, 0.5))
    again.refresh()
    assert (again.problem, again.current and again.current.version) == ("", 3)
    registered.nominate(2)
    again.refresh()
    assert (again.current, again.problem) == (None, "")
    assert list((deployment.settings.serving_cache / "challenger").iterdir()) == []


def history(*rows: dict[str, Any]) -> DecisionHistory:
    return DecisionHistory(
        Decision(id=number, subject=str(number), reasons=["so"], **row) for number, row in enumerate(rows, start=1)
    )


PROMOTED = [{"action": "promote", "version": 1, "previous": None}, {"action": "promote", "version": 3, "previous": 1}]
REJECTED = {"action": "keep", "version": 3, "previous": 1, "approval": Approval(response="reject", by="Ada")}
APPROVED = {"action": "keep", "version": 3, "previous": 1, "approval": Approval(response="approve", by="Ada")}


@pytest.mark.parametrize(
    ("champion", "rows", "reason"),
    [
        (1, [], ""),
        (1, [{"action": "keep", "version": 3, "previous": 1}], ""),
        (3, PROMOTED, "is the champion now"),
        (1, [*PROMOTED, {"action": "rollback", "version": 1, "previous": 3}], "withdrawn in decision 3"),
        (1, [REJECTED], "rejected in decision 1"),
        (1, [REJECTED, APPROVED], ""),
    ],
)
def test_withdrawn_and_rejected_versions_are_excluded(champion: int, rows: list[dict[str, Any]], reason: str) -> None:
    """A version that was withdrawn or rejected gets no reviews; one that the gate found no better does."""
    found = excluded(3, champion, history(*rows))
    assert reason in found
    assert bool(reason) == bool(found)


def test_a_folder_may_have_a_challenger(deployment: Deployment, registered: Mlflow) -> None:
    """An MLflow in files has the same information on the alias as a server; before any training, none."""
    import mlflow

    empty = ServingSettings(**deployment.settings.model_dump() | {"tracking": None})
    local = ServingSettings(
        **deployment.settings.model_dump() | {"tracking": None, "store": str(registered.bench.store)}
    )
    try:
        assert open_registry(empty).challenger() is None
        registered.bench.ratchet("train", "--window", "0-0", "--candidate", "linear-svc", "--force")
        version = registered.bench.registry.register(registered.trained(1))
        registered.nominate(1)
        served = open_registry(deployment.settings).challenger()
        assert served is not None
        assert open_registry(local).challenger() == served.model_copy(update={"version": version})
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own default is None
