"""Fixtures of the API's tests: trained versions in a real MLflow, and for each test a ledger and a cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest

from harness.jobs import Bench
from harness.serving import TRAININGS, Api, Deployment, Mlflow, mlflow_server, running, settings_in, until_version
from ratchet.promotion.registry import Registry
from ratchet.settings import Settings


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """Versions trained by the real jobs and registered, but not promoted: every test has a ledger of its own."""
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
def deployment(registered: Mlflow, tmp_path: Path) -> Deployment:
    return Deployment(settings_in(tmp_path, registered.uri), registered)


@pytest.fixture
def api() -> Api:
    """Starts the real app on a free port; yields a client with a key."""
    return running


@pytest.fixture
def client(deployment: Deployment, api: Api) -> Iterator[httpx.Client]:
    """A client of an API that serves version 1."""
    deployment.promote(1)
    with api(deployment.settings) as client:
        until_version(client, 1)
        yield client
