"""What the tests of the API stand on: trained versions in a real MLflow, and for each test a ledger and a cache."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import mlflow
import pytest
from pydantic import SecretStr

from harness.jobs import Bench
from harness.serving import KEY, TRAININGS, Api, Mlflow, Stage, mlflow_server, running, until_version
from ratchet.promotion.registry import Registry
from ratchet.serving.settings import ServingSettings
from ratchet.settings import Settings


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """Trained by the real jobs; registered, but not promoted: every test has a ledger of its own for that."""
    folder = tmp_path_factory.mktemp("serving")
    bench = Bench(folder / "store")
    with pytest.MonkeyPatch.context() as patch, mlflow_server(folder) as (uri, wait_for_mlflow):
        bench.prepare("synthetic:rows=600&weeks=2&test_rows=100&drift_week=none", batches=2)
        wait_for_mlflow()
        patch.setenv("RATCHET_TRACKING", uri)
        for window, candidate in TRAININGS.values():
            bench.ratchet("train", "--window", str(window), "--candidate", candidate)
        registry = Registry(Settings())
        found = Mlflow(uri, folder / "artifacts", bench)
        assert [registry.register(found.trained(version)) for version in TRAININGS] == list(TRAININGS)
        patch.delenv("RATCHET_TRACKING")
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own default is None
        yield found


@pytest.fixture
def stage(registered: Mlflow, tmp_path: Path) -> Stage:
    settings = ServingSettings(
        store=str(tmp_path / "store"),
        ledger=SecretStr(f"sqlite:///{tmp_path}/ledger.db"),
        tracking=SecretStr(registered.uri),
        serving_keys=SecretStr(f"tests:predict+feedback+admin:{sha256(KEY.encode()).hexdigest()}"),
        serving_cache=tmp_path / "cache",
        serving_poll_seconds=0.05,
        serving_rate=10_000,  # tests ask often; those of the limits set their own
        serving_burst=10_000,
        serving_log_spool=tmp_path / "spool",
        serving_log_flush_seconds=0.05,
    )
    return Stage(settings, registered)


@pytest.fixture
def api() -> Api:
    """Starts the real app on a free port; gives a client with a key."""
    return running


@pytest.fixture
def client(stage: Stage, api: Api) -> Iterator[httpx.Client]:
    """A client of an API that serves version 1."""
    stage.promote(1)
    with api(stage.settings) as client:
        until_version(client, 1)
        yield client
