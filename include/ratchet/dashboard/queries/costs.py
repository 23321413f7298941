"""What each week took: seconds, memory and dollars, from what the jobs themselves wrote into their manifests."""

from __future__ import annotations

import re

import pandas as pd

from ratchet.deployment import prices
from ratchet.jobs import keys
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest

SEED = "seed"
ORDER = tuple(JOBS)


def jobs(made: list[Manifest]) -> pd.DataFrame:
    """A row per job: `week` ("seed" or k as text), `job`, `prefix`, `seconds`, `gib`, `finished`."""
    columns = ["week", "job", "prefix", "seconds", "gib", "finished"]
    found = [
        (_week(each), each.job, each.prefix, each.seconds, each.peak_memory_mib / 1024, each.finished_at)
        for each in made
    ]
    return pd.DataFrame(found, columns=columns)


def _week(made: Manifest) -> str:
    """The week that a job was for: that of its batch or of its window's end. The test set came with week 0."""
    if made.prefix.endswith(f"/{keys.SEED}"):
        return SEED
    if found := re.search(r"/batch_(\d+)(?:/|$)|/0-(\d+)(?:/|$)", made.prefix):
        return str(int(found[1] or found[2]))
    return "0"


def weeks(table: pd.DataFrame) -> pd.DataFrame:
    """A row per week, the seed first: `week`, `jobs`, `seconds`, `gib` (the most of any job), `of`, `dollars`.

    Dollars: one task a job, of the size that holds the most hungry job of all. Raises ConfigurationError without one.
    """
    gib = prices.task_gib(table["gib"].max())
    found = []
    for week, rows in table.groupby("week"):
        largest = rows.loc[rows["gib"].idxmax()]
        price = prices.dollars(rows["seconds"], gib)
        found.append((week, len(rows), rows["seconds"].sum(), largest["gib"], largest["job"], price))
    columns = ["week", "jobs", "seconds", "gib", "of", "dollars"]
    return pd.DataFrame(found, columns=columns).sort_values("week", key=_place, ignore_index=True)


def _place(weeks: pd.Series) -> pd.Series:
    return weeks.map(lambda week: -1 if week == SEED else int(week))


def by_job(table: pd.DataFrame) -> pd.DataFrame:
    """`week`, `job`, `seconds`: the sum over a week's jobs of a kind."""
    return table.groupby(["week", "job"], as_index=False)["seconds"].sum()
