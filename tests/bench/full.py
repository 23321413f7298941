"""`make bench-full`: ten weeks at the size of the complete data set, each job in its own process, as on ECS.

The jobs of a week are those that the DAG plans. They run one after another against a folder, with Postgres and MLflow.
Writes a section of docs/benchmarks.md.
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
from ratchet.jobs import keys, manifests
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings
from ratchet.windows import Window

ROWS = 3_600_000  # training rows of Amazon Reviews Polarity; its test set has a ninth of that
WEEKLY = ("featurize", "score", "train", "evaluate", "promote")

MOST_GIB = 8  # peak memory of any job
MOST_GROWTH = 4  # seconds of the last week by those of the first
MOST_SEED = 300  # seconds of ingest, preprocess and split


@dataclass(frozen=True)
class Cost:
    """The cost of a job: `seconds` of its process, from Python's start to its end; `work` and `gib` of its manifest."""

    job: str
    seconds: float
    work: float  # seconds without Python's start and imports
    gib: float


@dataclass(frozen=True)
class Week:
    """The costs of one week's jobs."""

    window: Window
    reviews: int
    costs: Sequence[Cost]

    def seconds(self, job: str = "") -> float:
        """The seconds of one kind of job, or of all jobs."""
        return sum(cost.seconds for cost in self.costs if cost.job == job or not job)


def task_gib(costs: Sequence[Cost]) -> int:
    """Memory of the smallest Fargate task that fits every job, in GiB. Raises ConfigurationError if none does."""
    return prices.task_gib(max(cost.gib for cost in costs))


def dollars(costs: Sequence[Cost], gib: int) -> float:
    """Price of one Fargate task per job, without the seconds that a task takes to start its process."""
    return prices.dollars((cost.seconds for cost in costs), gib)


def run(settings: Settings, job: str, **arguments: str) -> Cost:
    """Run one job and measure it; its manifest has its peak memory. Exits if the job fails."""
    options = [word for name, text in arguments.items() for word in (f"--{name}", text)]
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "ratchet", job, *options], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{job} {arguments} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr}")
    made = manifests.read(open_storage(settings.store), JOBS[job](**arguments).prefix, f"ratchet {job}")
    cost = Cost(job, seconds, made.seconds, made.peak_memory_mib / 1024)
    print(f"{job:10} {' '.join(arguments.values())[-40:]:40} {seconds:7.1f} s {cost.gib:6.2f} GiB", flush=True)
    return cost


def engineer(settings: Settings) -> list[Cost]:
    """Ingest, preprocess and split the source; once, before week 0."""
    return [
        run(settings, "ingest", source=settings.source.get_secret_value()),
        run(settings, "preprocess"),
        run(settings, "split", batches=str(settings.seed_batches)),
    ]


def jobs(number: int, settings: Settings) -> Iterator[Cost]:
    """Run every other job of a week, as the DAG does."""
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


def run_weeks(root: Path, source: str, weeks: int) -> tuple[list[Cost], list[Week], dict[str, int]]:
    """Run the seed and all weeks; returns the costs of both, and the rows of the source by outcome."""
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
        "costs from it, never scores: see `tests/bench/copies.py`.\n",
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
    """One row of the table."""
    largest, work = max(week.costs, key=lambda cost: cost.gib), sum(cost.work for cost in week.costs)
    each = [f"{week.seconds(job):.1f}" for job in WEEKLY]
    cells = [str(week.window.end), str(week.window), f"{week.reviews:,}", *each, f"{week.seconds():.1f}", f"{work:.1f}"]
    return f"| {' | '.join([*cells, f'{largest.gib:.2f}', largest.job, f'{dollars(week.costs, gib):.3f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-full")
    parser.add_argument("--reviews", required=True, help="Source of real reviews with a test file.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--weeks", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="Write the section into docs/.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratchet-full-") as folder:
        root, began = Path(folder), time.perf_counter()
        # In its own process, because on Linux a child starts with the peak memory of its parent.
        arguments = absolute_source(options.reviews), root / "source", options.rows, options.rows // 9
        subprocess.run([sys.executable, "-m", "bench.copies", *map(str, arguments)], check=True)
        print(f"source made in {time.perf_counter() - began:.0f} s", flush=True)
        seed, weeks, rows = run_weeks(root, str(root / "source"), options.weeks)
    text = report(seed, weeks, rows, options.rows, Path(options.reviews).name)
    print(text)
    if options.write:
        section.write("full", text)


if __name__ == "__main__":
    main()
