"""Every launch is one launch, whatever part of Airflow is killed, and whenever."""

from __future__ import annotations

import random

import pytest

from stack.stage import PROCESSES, Stage
from stack.tap import Moment

JOBS = ("featurize", "score", "train", "evaluate", "promote")
MOMENTS: tuple[Moment, ...] = ("accepted", "running", "finished")
SEED = 20261121
MINUTES = 12


def points(kills: int) -> list[tuple[str, Moment]]:
    """For each process, so many moments, in a random order."""
    dice = random.Random(SEED)
    found = [(name, moment) for name in PROCESSES for moment in dice.sample(MOMENTS * kills, kills)]
    return dice.sample(found, len(found))


def by_week(found: list[tuple[str, Moment]], size: int = 3) -> list[list[tuple[str, Moment]]]:
    return [found[at : at + size] for at in range(0, len(found), size)]


def test_a_week_in_which_airflow_is_killed_again_and_again_is_a_week_like_any_other(
    weeks: Stage, request: pytest.FixtureRequest
) -> None:
    """One launch per task, one model version, one decision, and a green end; three kills a week."""
    dice = random.Random(SEED)
    for number, plan in enumerate(by_week(points(request.config.getoption("kills")))):
        before, versions, killed = len(weeks.ledger.history()), weeks.model_versions, weeks.killed
        weeks.tap.launches.clear()
        weeks.tap.acted.clear()
        for job, (name, moment) in zip(sorted(dice.sample(JOBS, len(plan)), key=JOBS.index), plan, strict=True):
            weeks.tap.plan(job, moment, lambda name=name: weeks.kill(name))
            print(f"plan {number}: kill the {name} when {job} is {moment}")
        run_id = weeks.trigger(weeks.next_week)
        assert weeks.until_ended(run_id, MINUTES * 60) == "success"
        assert weeks.tap.failures == []
        assert len(weeks.tap.acted) == len(plan), weeks.tap.acted
        assert set(weeks.tap.launches.values()) == {1}, weeks.tap.launches
        assert len(weeks.tap.launches) == len(JOBS)
        assert len(weeks.ledger.history()) == before + 1
        assert weeks.model_versions == versions + 1
        assert weeks.killed == killed + len(plan)
