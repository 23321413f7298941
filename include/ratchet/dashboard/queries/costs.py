"""Seconds, memory and dollars of each week, from the manifests of its jobs."""

from __future__ import annotations

import re

import pandas as pd

from ratchet.deployment import prices
from ratchet.jobs import keys
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest

SEED = "seed"
ORDER = tuple(JOBS)


def job_table(manifests: list[Manifest]) -> pd.DataFrame:
    """A row per job: `week` ("seed" or k as text), `job`, `prefix`, `seconds`, `gib` (peak memory), `finished`."""
    columns = ["week", "job", "prefix", "seconds", "gib", "finished"]
    rows = [
        (_week(each), each.job, each.prefix, each.seconds, each.peak_memory_mib / 1024, each.finished_at)
        for each in manifests
    ]
    return pd.DataFrame(rows, columns=columns)


def _week(made: Manifest) -> str:
    """The week of a job: that of its batch or of its window's end. The test set belongs to week 0."""
    if made.prefix.endswith(f"/{keys.SEED}"):
        return SEED
    if found := re.search(r"/batch_(\d+)(?:/|$)|/0-(\d+)(?:/|$)", made.prefix):
        return str(int(found[1] or found[2]))
    return "0"


def cost_by_week(jobs: pd.DataFrame) -> pd.DataFrame:
    """A row per week, the seed first: `week`, `jobs`, `seconds`, `gib`, `largest_job`, `dollars`.

    `gib` is the highest peak memory of the week, reached by `largest_job`. Dollars: one Fargate task per job, of the
    smallest size that fits the largest job of all weeks. Raises ConfigurationError if no size does.
    """
    gib = prices.task_gib(jobs["gib"].max())
    rows = []
    for week, of_week in jobs.groupby("week"):
        largest = of_week.loc[of_week["gib"].idxmax()]
        dollars = prices.dollars(of_week["seconds"], gib)
        rows.append((week, len(of_week), of_week["seconds"].sum(), largest["gib"], largest["job"], dollars))
    columns = ["week", "jobs", "seconds", "gib", "largest_job", "dollars"]
    return pd.DataFrame(rows, columns=columns).sort_values("week", key=_order, ignore_index=True)


def _order(weeks: pd.Series) -> pd.Series:
    return weeks.map(lambda week: -1 if week == SEED else int(week))


def seconds_by_job(jobs: pd.DataFrame) -> pd.DataFrame:
    """A row per week and kind of job: `week`, `job`, `seconds` (the sum)."""
    return jobs.groupby(["week", "job"], as_index=False)["seconds"].sum()
