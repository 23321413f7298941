"""Kill -9 at any point: the ledger's champion still loads, and a second run gives the result of an unbroken one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest

from harness import zygote
from harness.jobs import BOTH, Bench
from ratchet.jobs import keys
from ratchet.jobs.storage import sha256_of
from ratchet.ledger.decision import Decision
from ratchet.model.artifact import CARD, WEIGHTS
from ratchet.windows import Window

POINTS = 20
SOURCE = "synthetic:rows=2000&weeks=2&test_rows=1500&noise=0&drift_week=none&seed=1"
PREFIX = keys.model(Window(1), "linear-svc")
TRAIN = ("train", "--window", "0-1")
PROMOTE = ("promote", "--window", "0-1")


@dataclass(frozen=True)
class World:
    """A store that can be restored to its state before a job, and real processes that work on it."""

    bench: Bench
    forks: subprocess.Popen[str]
    before: dict[str, Path] = field(default_factory=dict)

    def run(self, *argv: str, kill_after: float | None = None) -> dict[str, Any]:
        """One process that runs `ratchet ARGV` on the store: its exit status, seconds and output."""
        assert self.forks.stdin
        assert self.forks.stdout
        request = {"argv": [*argv, "--store", str(self.bench.store)], "kill_after": kill_after}
        self.forks.stdin.write(json.dumps(request) + "\n")
        self.forks.stdin.flush()
        return json.loads(self.forks.stdout.readline())

    def keep(self, job: str) -> None:
        self.before[job] = self.bench.store.with_name(f"before-{job}")
        shutil.copytree(self.bench.store, self.before[job])

    def restore(self, job: str) -> None:
        shutil.rmtree(self.bench.store)
        shutil.copytree(self.before[job], self.bench.store)

    def fastest(self, job: str, *argv: str) -> float:
        """Seconds of the fastest of three whole runs: on a busy machine, one alone says little about the next."""
        seconds = []
        for _ in range(3):
            self.restore(job)
            whole = self.run(*argv)
            assert whole["status"] == 0, whole["output"]
            seconds.append(whole["seconds"])
        return min(seconds)

    def mlflow(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of MLflow's own database."""
        with closing(sqlite3.connect(self.bench.store / "mlflow.db")) as connection:
            return connection.execute(query).fetchall()

    def champion_loads(self) -> bool:
        """Whether a process finds the ledger's champion in MLflow, with the bytes that were trained."""
        loads = f"version {self.bench.ledger.champion().version} loads, and its bytes are what was trained"
        return loads in self.run("doctor")["output"]

    def runs(self) -> list[str]:
        """How each MLflow run of the training ended."""
        tagged = f"SELECT status FROM runs JOIN tags USING (run_uuid) WHERE value = '{PREFIX}' ORDER BY status"
        return [status for (status,) in self.mlflow(tagged)]

    def versions(self) -> list[tuple[int, str]]:
        return self.mlflow(
            "SELECT version, value FROM model_version_tags WHERE key = 'ratchet.model_digest' ORDER BY version"
        )

    def decisions(self) -> list[Decision]:
        """The ledger's rows without the time at which each was written."""
        return [row.model_copy(update={"decided_at": ""}) for row in self.bench.ledger.history()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Version 1 is champion; the store is kept as it is before 0-1 is trained, and before it is promoted."""
    folder = tmp_path_factory.mktemp("kill")
    (folder / "tmp").mkdir()
    own = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder / "tmp"), "COLUMNS": "200"}
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # no thread pool that a fork would lack
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    bench = Bench(folder / "store")
    bench.prepare(SOURCE, batches=2)
    bench.week("0-0", candidates=BOTH)
    command = [sys.executable, zygote.__file__, str(shutil.copytree(bench.store, folder / "spoiled"))]
    with subprocess.Popen(command, env={**os.environ, **own, **single}, **pipes) as forks:
        world = World(bench, forks)
        world.keep("train")
        bench.ratchet(*TRAIN)
        bench.ratchet("evaluate", "--window", "0-1")
        world.keep("promote")
        yield world
        forks.stdin.close()
    mlflow.set_tracking_uri(None)


def moments(seed: int, seconds: float) -> list[float]:
    """Moments to kill at, one somewhere in each twentieth of a run."""
    dice = random.Random(seed)
    return [seconds * (point + dice.random()) / POINTS for point in range(POINTS)]


def test_a_killed_training_leaves_the_champion_and_converges(world: World) -> None:
    """After each kill version 1 loads; run again, the artifact is the same to the byte, of one finished MLflow run."""
    whole = world.fastest("train", *TRAIN)
    expected = {name: sha256_of(world.bench.store / PREFIX / name) for name in (WEIGHTS, CARD)}
    digest = world.bench.manifest(PREFIX).digest
    killed = 0
    for moment in moments(1, whole):
        world.restore("train")
        killed += world.run(*TRAIN, kill_after=moment)["status"] == -signal.SIGKILL
        assert world.champion_loads(), moment
        assert world.bench.ledger.champion().version == 1
        again = world.run(*TRAIN)
        assert again["status"] == 0, again["output"]
        assert {name: sha256_of(world.bench.store / PREFIX / name) for name in (WEIGHTS, CARD)} == expected
        assert world.bench.manifest(PREFIX).digest == digest
        assert world.runs() in (["FINISHED"], ["FINISHED", "KILLED"]), moment
        assert len(world.versions()) == 1
    assert killed >= POINTS // 2


def test_a_killed_promotion_leaves_one_champion_and_converges(world: World) -> None:
    """After each kill the ledger's champion loads; run again, there is one decision, and the aliases say the same."""
    whole = world.fastest("promote", *PROMOTE)
    versions = world.versions()
    expected = world.decisions()
    assert [decision.action for decision in expected] == ["promote", "promote"]
    killed, found = 0, set()
    for moment in moments(2, whole):
        world.restore("promote")
        killed += world.run(*PROMOTE, kill_after=moment)["status"] == -signal.SIGKILL
        assert world.champion_loads(), moment
        assert world.decisions() in (expected[:1], expected), moment
        found.add(world.bench.ledger.champion().version)
        again = world.run(*PROMOTE)
        assert again["status"] == 0, again["output"]
        assert world.decisions() == expected
        assert world.versions() == versions
        aliases = dict(world.mlflow("SELECT alias, version FROM registered_model_aliases"))
        assert aliases == {"champion": 2, "previous": 1, "challenger": 2}
    assert killed >= POINTS // 2
    assert found == {1, 2}, "no kill fell behind the commit, or none before it"
