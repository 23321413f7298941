"""Kill -9 of a real API under load, in fsync mode: every prediction that was answered is in the log afterwards."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from harness.prediction_log import Postgres, in_files, in_tables, postgres_server
from harness.serving import KEY, Deployment, process_of, until_version, wait_until
from ratchet.serving.settings import ServingSettings

CALLERS = 4
MAX_REQUESTS = 200  # answered before the kill
FEW, ALL = {"tables": 3, "files": 2}, {"tables": 30, "files": 20}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


class Load:
    """Callers that send requests without pause and record which predictions were answered."""

    def __init__(self, address: str, point: int) -> None:
        self.address, self.point = address, point
        self.requests, self.answered, self.refused = 0, set[str](), 0
        self._counting = threading.Lock()

    def run(self, caller: int) -> None:
        """Send requests until the connection fails."""
        dice = random.Random(f"{self.point}-{caller}")
        with httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {KEY}"}) as client:
            for request in range(100_000):
                names = [f"{self.point}-{caller}-{request}-{number}" for number in range(dice.choice([1, 2, 50]))]
                reviews = [{"text": "It broke after a week.", "prediction_id": name} for name in names]
                try:
                    response = client.post("/v1/predict", json={"reviews": reviews})
                except httpx.TransportError:
                    return
                with self._counting:
                    self.requests += 1
                    if response.status_code == httpx.codes.OK:
                        self.answered |= {each["prediction_id"] for each in response.json()["predictions"]}
                    else:
                        self.refused += 1


def killed_under_load(
    process: subprocess.Popen[str], client: httpx.Client, point: int, meanwhile: Callable[[], object]
) -> Load:
    """Kill a process at a moment derived from `point`; returns the load with the predictions answered by then."""
    dice, load = random.Random(point), Load(str(client.base_url), point)
    many = dice.randrange(MAX_REQUESTS)
    with ThreadPoolExecutor(CALLERS) as callers:
        running = [callers.submit(load.run, caller) for caller in range(CALLERS)]
        try:
            wait_until(lambda: load.requests >= many // 2)
            meanwhile()
            wait_until(lambda: load.requests >= many)
            time.sleep(dice.random() * 0.005)  # to fall anywhere within a request
        finally:
            process.kill()
        for each in running:
            each.result()
    return load


@pytest.mark.parametrize("points", [FEW, pytest.param(ALL, marks=pytest.mark.minutes)], ids=["few", "all"])
def test_answers_in_tables_outlast_a_kill(deployment: Deployment, server: Postgres, points: dict[str, int]) -> None:
    """Every second kill happens while Postgres is down, so that some rows are in the spool."""
    here = deployment.settings.model_copy(update={"serving_log": server.url})
    spool, answered, spooled = here.serving_log_spool, set[str](), 0
    deployment.promote(1)
    for point in range(points["tables"]):
        with process_of(here) as (process, client), ExitStack() as stack:
            until_version(client, 1)
            if point % 2:
                stack.callback(server.start)
            load = killed_under_load(process, client, point, server.stop if point % 2 else lambda: None)
            assert load.refused == 0
            answered |= load.answered
            spooled += _rows_in(spool)
    _finish(here)
    assert spooled > 0
    assert answered <= {row.prediction_id for row in in_tables(server.url)}


@pytest.mark.parametrize("points", [FEW, pytest.param(ALL, marks=pytest.mark.minutes)], ids=["few", "all"])
def test_answers_in_files_outlast_a_kill(deployment: Deployment, tmp_path: Path, points: dict[str, int]) -> None:
    """Every answered prediction is in exactly one file, however often writing files was interrupted."""
    folder = tmp_path / "log"
    here = deployment.settings.model_copy(
        update={"serving_log": SecretStr(str(folder)), "serving_log_flush_seconds": 0.02}
    )
    answered = set[str]()
    deployment.promote(1)
    for point in range(points["files"]):
        with process_of(here) as (process, client):
            until_version(client, 1)
            load = killed_under_load(process, client, point, lambda: None)
            assert load.refused == 0
            answered |= load.answered
    _finish(here)
    found = [row.prediction_id for row in in_files(folder)]
    assert len(found) == len(set(found))
    assert answered <= set(found)


def _finish(settings: ServingSettings) -> None:
    """Have one more process replay the rest of the spool."""
    with process_of(settings) as (_, client):
        until_version(client, 1)
        wait_until(lambda: not list(settings.serving_log_spool.glob("*.jsonl")))


def _rows_in(spool: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in spool.glob("*.jsonl"))
