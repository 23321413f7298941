"""A job is launched once, whichever part of Airflow is killed, at whichever moment."""

from __future__ import annotations

import random
from functools import partial

import pytest

from stack.deployment import PROCESSES, Deployment
from stack.tap import Moment

JOBS = ("featurize", "score", "train", "evaluate", "promote")
MOMENTS: tuple[Moment, ...] = ("accepted", "running", "finished")
SEED = 20261121
MINUTES = 12


def points(kills: int) -> list[tuple[str, Moment]]:
    """Pairs of process kind and moment, `kills` per kind, in random order."""
    rng = random.Random(SEED)
    found = [(name, moment) for name in PROCESSES for moment in rng.sample(MOMENTS * kills, kills)]
    return rng.sample(found, len(found))


def by_week(found: list[tuple[str, Moment]], size: int = 3) -> list[list[tuple[str, Moment]]]:
    return [found[at : at + size] for at in range(0, len(found), size)]


def test_a_week_with_kills_of_airflow_ends_like_any_other(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    """One launch per task, one model version, one decision, and success, with three kills per week."""
    rng = random.Random(SEED)
    for number, plan in enumerate(by_week(points(request.config.getoption("kills")))):
        before, versions, killed = len(deployment.ledger.history()), deployment.model_versions, deployment.killed
        deployment.tap.launches.clear()
        deployment.tap.acted.clear()
        for job, (name, moment) in zip(sorted(rng.sample(JOBS, len(plan)), key=JOBS.index), plan, strict=True):
            deployment.tap.plan(job, moment, partial(deployment.kill, name))
            print(f"plan {number}: kill the {name} when {job} is {moment}")
        run_id = deployment.trigger(deployment.next_week)
        assert deployment.until_ended(run_id, MINUTES * 60) == "success"
        assert deployment.tap.failures == []
        assert len(deployment.tap.acted) == len(plan), deployment.tap.acted
        assert set(deployment.tap.launches.values()) == {1}, deployment.tap.launches
        assert len(deployment.tap.launches) == len(JOBS)
        assert len(deployment.ledger.history()) == before + 1
        assert deployment.model_versions == versions + 1
        assert deployment.killed == killed + len(plan)
