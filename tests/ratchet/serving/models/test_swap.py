"""Swaps of the champion under load: no request fails or mixes two models, and a damaged model never serves."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from harness.serving import Api, Deployment, Mlflow, until_version, wait_until
from ratchet.errors import ArtifactError
from ratchet.ledger.store import Ledger
from ratchet.model.artifact import CARD, WEIGHTS
from ratchet.model.registry_tags import DIGEST, FILE
from ratchet.serving.models.mlflow_source import open_registry
from ratchet.serving.models.promotion import latest
from ratchet.serving.settings import ServingSettings

REVIEW = {"title": "Great value", "text": "It works well and does not cost much."}


def model_of(client: httpx.Client) -> Any:
    return client.get("/v1/model").raise_for_status().json()


def problem_of(client: httpx.Client) -> str:
    """The problem that the API reports, as soon as it reports one."""
    wait_until(lambda: bool(model_of(client)["problem"]))
    return str(model_of(client)["problem"])


def test_no_request_notices_a_swap(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """Under load the champion changes ten times; every response is 200, names one version and has its probabilities."""
    expected = {version: registered.reads(version, REVIEW["title"], REVIEW["text"]) for version in (1, 2)}
    assert expected[1] != expected[2]
    stop = threading.Event()

    def load(client: httpx.Client) -> list[tuple[int, float]]:
        seen = []
        while not stop.is_set():
            response = client.post("/v1/predict", json={"reviews": [REVIEW] * 20}).raise_for_status().json()
            seen += [(response["model_version"], each["probability"]) for each in response["predictions"]]
        return seen

    deployment.promote(1)
    with api(deployment.settings) as client, ThreadPoolExecutor(4) as callers:
        until_version(client, 1)
        futures = [callers.submit(load, client) for _ in range(4)]
        try:
            for version in [2, 1] * 5:
                deployment.promote(version)
                until_version(client, version)
        finally:
            stop.set()
        seen = {pair for future in futures for pair in future.result()}
    assert seen == set(expected.items())


def test_a_damaged_champion_never_serves(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """The champion before serves on, /v1/model has the reason, and the next sound champion takes over."""
    deployment.promote(1)
    with api(deployment.settings) as client, registered.damaged(3):
        until_version(client, 1)
        deployment.promote(3)
        assert f"{WEIGHTS} of version 3" in problem_of(client)
        response = client.post("/v1/predict", json={"reviews": [REVIEW]}).raise_for_status().json()
        assert response["model_version"] == 1
        assert model_of(client)["champion"] == {"epoch": 2, "version": 3}
        deployment.promote(2)
        until_version(client, 2)
        wait_until(lambda: model_of(client)["problem"] == "")


def test_a_champion_that_mlflow_does_not_have_never_serves(deployment: Deployment, api: Api) -> None:
    """If the ledger names another training than MLflow's version has, it is refused."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
        other = deployment.promote(2).model_copy(update={"subject": "forged", "version": 3, "previous": 2})
        ledger = Ledger(deployment.settings.ledger_url, deployment.settings.registered_model)
        until_version(client, 2)
        ledger.record(other, ledger.champion())
        assert "version 3" in problem_of(client)
        assert client.get("/ready").json()["model_version"] == 2


def test_a_cold_start_needs_the_cache_only(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """With Postgres and MLflow down, the last champion serves, and the problem contains no password."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    with api(deployment.without_services()) as client:
        until_version(client, 1)
        response = client.post("/v1/predict", json={"reviews": [REVIEW]}).raise_for_status().json()
        assert response["predictions"][0]["probability"] == registered.reads(1, REVIEW["title"], REVIEW["text"])
        assert "did not answer" in problem_of(client)
        assert "hunter2" not in client.get("/v1/model").text


def test_a_rollback_needs_no_mlflow(deployment: Deployment, api: Api) -> None:
    """The champion before is still in the cache, and /v1/model has the new epoch."""
    for version in (1, 2):
        deployment.promote(version)
        with api(deployment.settings) as client:
            until_version(client, version)
    deployment.promote(1, action="rollback")
    gone = deployment.without_services().tracking
    with api(deployment.settings.model_copy(update={"tracking": gone})) as client:
        until_version(client, 1)
        assert model_of(client)["promotion"]["epoch"] == 3
        assert model_of(client)["problem"] == ""


def test_a_cold_start_does_not_wait_for_a_ledger_that_hangs(
    deployment: Deployment, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Postgres that accepts connections and hangs counts as unavailable."""
    monkeypatch.setattr("ratchet.ledger.store.CONNECT_SECONDS", 2)
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = SecretStr(f"postgresql+psycopg://me@127.0.0.1:{deaf.getsockname()[1]}/ratchet")
        here = deployment.settings.model_copy(update={"ledger": url, "serving_log": SecretStr(str(tmp_path / "log"))})
        with api(here) as client:
            until_version(client, 1)
            assert "did not answer" in problem_of(client)


def test_an_unreadable_file_costs_its_model_only(deployment: Deployment, api: Api) -> None:
    """Without MLflow the champion before serves from the cache; with it, the other one is downloaded again."""
    for version in (1, 2):
        deployment.promote(version)
        with api(deployment.settings) as client:
            until_version(client, version)
    newest = json.loads((deployment.settings.serving_cache / "champions.json").read_text())[0]["sha256"][CARD]
    weights = deployment.settings.serving_cache / newest / WEIGHTS
    weights.unlink()
    weights.symlink_to("/proc/self/mem")  # reading it is an input/output error
    with api(deployment.without_services()) as client:
        until_version(client, 1)
    with api(deployment.settings) as client:
        until_version(client, 2)


def test_an_unreadable_list_of_champions_counts_as_empty(deployment: Deployment, api: Api) -> None:
    """The champion is downloaded and serves, although it cannot be recorded."""
    (deployment.settings.serving_cache / "champions.json").mkdir(parents=True)
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)


@pytest.mark.parametrize("file", [CARD, WEIGHTS])
def test_damaged_files_in_the_cache_are_refused(deployment: Deployment, api: Api, file: str) -> None:
    """Without MLflow there is no model to serve; with it, the files are downloaded again."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    path = next(deployment.settings.serving_cache.rglob(file))
    path.write_bytes(path.read_bytes().replace(b'"offset"', b'"Offset"') if file == CARD else b"nothing")
    with api(deployment.without_services()) as client:
        wait_until(lambda: "did not answer" in client.get("/v1/model").json()["detail"])
        assert client.get("/ready").status_code == 503
    with api(deployment.settings) as client:
        until_version(client, 1)


def test_the_cache_of_another_ledger_is_not_used(deployment: Deployment, api: Api, registered: Mlflow) -> None:
    """After a reset, version 1 may be another model; the digest in the evidence decides, not the number."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
    champions = deployment.settings.serving_cache / "champions.json"
    cached = json.loads(champions.read_text())
    cached[0]["promotion"]["model_digest"] = "0" * 64
    champions.write_text(json.dumps(cached))
    with api(deployment.settings) as client:
        until_version(client, 1)
        assert model_of(client)["promotion"]["model_digest"] == registered.trained(1).digest


def test_the_cache_does_not_grow(deployment: Deployment, api: Api) -> None:
    """Two champions stay; what a killed download or a full disk left beside them is deleted."""
    (deployment.settings.serving_cache / ".aside-killed").mkdir(parents=True)
    (deployment.settings.serving_cache / ".aside-list").touch()
    deployment.promote(1)
    with api(deployment.settings) as client:
        for version in (1, 2, 3):
            deployment.promote(version)
            until_version(client, version)
    left = list(deployment.settings.serving_cache.iterdir())
    assert len([path for path in left if path.is_dir()]) == 2
    assert [path.name for path in left if not path.is_dir()] == ["champions.json"]


def test_tags_are_read_as_they_are_written() -> None:
    """Serving and registry share the names of MLflow's tags, in a module that imports no MLflow."""
    from ratchet.promotion import registry

    assert (vars(registry)["DIGEST"], vars(registry)["FILE"]) == (DIGEST, FILE)


def test_a_folder_is_served_without_any_server(
    deployment: Deployment, api: Api, registered: Mlflow, tmp_path: Path
) -> None:
    """`ratchet serve` on a folder reads MLflow's SQLite file, and verifies its digests like those of a server."""
    import mlflow

    bench = registered.bench
    bench.ratchet("train", "--window", "0-0", "--candidate", "linear-svc", "--force")
    try:
        assert bench.registry.register(registered.trained(1)) == 1
        deployment.promote(1)
        local = ServingSettings(**deployment.settings.model_dump() | {"tracking": None, "store": str(bench.store)})
        with api(local) as client:
            until_version(client, 1)
        judged = latest(Ledger(local.ledger_url, local.registered_model))
        assert judged is not None
        with pytest.raises(ArtifactError, match="is not the model that was judged"):
            open_registry(local).download(judged.model_copy(update={"model_digest": "0" * 64}), tmp_path)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own default is None
