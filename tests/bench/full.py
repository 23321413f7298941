"""`make bench-full`: ten weeks at the size of the whole data set, every job a process of its own as ECS would start it.

The jobs of a week are those of the DAG, planned as it plans them; they run one after another against a folder, with
Postgres and MLflow beside them. Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import copies, section
from bench.section import goal
from local.demo import absolute_source
from local.environment import replaced_environment
from local.processes import services
from orchestration.week_plan import plan, unfeaturized
from ratchet.candidates import CANDIDATES
from ratchet.deployment import prices
from ratchet.jobs import catalogue, keys, manifests
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings
from ratchet.windows import Window

ROWS = 3_600_000  # of Amazon Reviews Polarity; the test set is a ninth
WEEKLY = ("featurize", "score", "train", "evaluate", "promote")

MOST_GIB, MOST_GROWTH, MOST_SEED = 8, 4, 300  # of any job; of the last week to the first; seconds


@dataclass(frozen=True)
class Cost:
    """What one job took: wall clock of its process, from starting Python to its end, and what its manifest says."""

    job: str
    seconds: float
    work: float  # seconds of those in which the job worked; the rest is importing libraries
    gib: float


@dataclass(frozen=True)
class Week:
    window: Window
    reviews: int
    costs: Sequence[Cost]

    def seconds(self, job: str = "") -> float:
        """All seconds, or those of one kind of job."""
        return sum(cost.seconds for cost in self.costs if cost.job == job or not job)


def task_gib(costs: Sequence[Cost]) -> int:
    """The memory of the smallest Fargate task that holds every job, in GiB. Raises ConfigurationError."""
    return prices.task_gib(max(cost.gib for cost in costs))


def dollars(costs: Sequence[Cost], gib: int) -> float:
    """The price of one task a job; seconds of starting a task, before its process runs, are not in it."""
    return prices.dollars((cost.seconds for cost in costs), gib)


def run(settings: Settings, job: str, **arguments: str) -> Cost:
    """Run one job to its end; its manifest says how much memory it took."""
    given = [word for name, text in arguments.items() for word in (f"--{name}", text)]
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "ratchet", job, *given], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{job} {arguments} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr}")
    made = manifests.read(open_storage(settings.store), catalogue.JOBS[job](**arguments).prefix, f"ratchet {job}")
    cost = Cost(job, seconds, made.seconds, made.peak_memory_mib / 1024)
    print(f"{job:10} {' '.join(arguments.values())[-40:]:40} {seconds:7.1f} s {cost.gib:6.2f} GiB", flush=True)
    return cost


def engineer(settings: Settings) -> list[Cost]:
    """Bring the source as far as its batches: once, before week 0."""
    return [
        run(settings, "ingest", source=settings.source.get_secret_value()),
        run(settings, "preprocess"),
        run(settings, "split", batches=str(settings.seed_batches)),
    ]


def jobs(number: int, settings: Settings) -> Iterator[Cost]:
    """Run every other job of a week, as the DAG would."""
    week = plan({"window_end": number}, None, settings)
    for arguments in unfeaturized(week.window, settings):
        yield run(settings, "featurize", **arguments)
    if not week.first:
        yield run(settings, "score", batch=week.batch)
    names = list(CANDIDATES) if week.first else [week.candidate]
    for name in names:
        yield run(settings, "train", window=week.window, candidate=name)
    yield run(settings, "evaluate", window=week.window, candidates=",".join(names))
    yield run(settings, "promote", window=week.window)


def rehearse(root: Path, source: str, weeks: int) -> tuple[list[Cost], list[Week], dict[str, int]]:
    """The seed, all weeks, and what became of the rows of the source."""
    with services.running(root / "services", source=source, cache=root / "cache") as running:
        with replaced_environment({**running.environment, "RATCHET_STORE": str(root / "store")}):
            settings = Settings()
            storage = open_storage(settings.store)
            seed, done = engineer(settings), []
            rows = manifests.read(storage, keys.split(keys.SEED), "ratchet split").rows
            for window in map(Window, range(weeks)):
                reviews = sum(rows[keys.batch_name(number)] for number in window.batches)
                done.append(Week(window, reviews, list(jobs(window.end, settings))))
        return seed, done, manifests.read(storage, keys.processed(keys.SEED), "ratchet preprocess").rows


def report(seed: Sequence[Cost], weeks: Sequence[Week], rows: dict[str, int], size: int, source: str) -> str:
    """The section of docs/benchmarks.md."""
    costs = [*seed, *(cost for week in weeks for cost in week.costs)]
    gib, peak = task_gib(costs), max(cost.gib for cost in costs)
    seconds, last = [week.seconds() for week in weeks], weeks[-1].window.end
    brought, growth = sum(cost.seconds for cost in seed), seconds[-1] / seconds[0]
    size_given = f" ROWS={size}" if size != ROWS else ""
    lines = [
        f"`make bench-full REVIEWS={source}{size_given}`: {rows['read']:,} rows read = {rows['accepted']:,} accepted + "
        f"{rows['quarantined']:,} quarantined, of them {rows['duplicates']:,} duplicates. {os.cpu_count()} cores, "
        f"Python {platform.python_version()}. Real rows are repeated; in every copy but the first each word of a text "
        f"is dropped with probability {copies.DROPPED:.0%} and replaced with probability {copies.REPLACED:.0%}. Read "
        "costs from it, never scores: `tests/bench/copies.py` says why.\n",
        f"| the seed, once | {' | '.join(cost.job for cost in seed)} |",
        "|---" * (len(seed) + 1) + "|",
        f"| seconds | {' | '.join(f'{cost.seconds:.0f}' for cost in seed)} |",
        f"| peak, GiB | {' | '.join(f'{cost.gib:.2f}' for cost in seed)} |\n",
        f"| week | window | reviews | {', s | '.join(WEEKLY)}, s | all, s | of it work, s | peak, GiB | of | dollars |",
        "|---" * (len(WEEKLY) + 8) + "|",
        *(row(week, gib) for week in weeks),
        "\nSeconds are of processes, from starting Python to their end, one job after another, against a folder: S3's "
        "transfers and Fargate's start of a task are not in them. Work is what the jobs count themselves, without "
        f"Python's start and imports. Week 0 featurizes the test set too, trains all {len(CANDIDATES)} candidates and "
        f"has no champion to score. Dollars: one Fargate task a job, on demand, with {prices.VCPUS} vCPUs and {gib} "
        f"GiB, the least that holds every job, at {prices.TERMS}: an assumption, no bill. The seed costs "
        f"${dollars(seed, gib):.3f}, all {len(weeks)} weeks with it ${dollars(costs, gib):.2f}. "
        f"Week {last} takes {seconds[-1] / seconds[min(1, last)]:.1f} times week 1, whose jobs are the same.\n",
        goal(peak < MOST_GIB, f"peak memory of any job under {MOST_GIB} GiB: {peak:.2f}"),
        goal(growth <= MOST_GROWTH, f"week {last} takes at most {MOST_GROWTH} times week 0: {growth:.1f}"),
        goal(brought <= MOST_SEED, f"ingest, preprocess and split in {MOST_SEED} s: {brought:.0f}"),
    ]
    return "\n".join(lines)


def row(week: Week, gib: int) -> str:
    """A week's row of the table."""
    largest, work = max(week.costs, key=lambda cost: cost.gib), sum(cost.work for cost in week.costs)
    each = [f"{week.seconds(job):.1f}" for job in WEEKLY]
    cells = [str(week.window.end), str(week.window), f"{week.reviews:,}", *each, f"{week.seconds():.1f}", f"{work:.1f}"]
    return f"| {' | '.join([*cells, f'{largest.gib:.2f}', largest.job, f'{dollars(week.costs, gib):.3f}'])} |"


def main() -> None:
    asked = argparse.ArgumentParser(prog="make bench-full")
    asked.add_argument("--reviews", required=True, help="A source of real reviews with a test file.")
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--weeks", type=int, default=10)
    asked.add_argument("--write", action="store_true", help="Put the section into docs/.")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratchet-full-") as folder:
        root, began = Path(folder), time.perf_counter()
        # In a process of its own: Linux lets a child begin with the peak memory of the process that started it.
        wanted = absolute_source(given.reviews), root / "source", given.rows, given.rows // 9
        subprocess.run([sys.executable, "-m", "bench.copies", *map(str, wanted)], check=True)
        print(f"source made in {time.perf_counter() - began:.0f} s", flush=True)
        seed, weeks, rows = rehearse(root, str(root / "source"), given.weeks)
    text = report(seed, weeks, rows, given.rows, Path(given.reviews).name)
    print(text)
    if given.write:
        section.write("full", text)


if __name__ == "__main__":
    main()
