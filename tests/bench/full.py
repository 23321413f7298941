"""`make bench-full`: ten weeks at the size of the whole data set, every job a process of its own as ECS would start it.

The jobs of a week are those of the DAG, planned as it plans them; they run one after another against a folder, with
Postgres and MLflow beside them. Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import math
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
from embedded import services
from embedded.rehearsal import source_of
from embedded.variables import applied
from orchestration.weeks import plan, unfeaturized
from ratchet import catalogue, keys, manifests
from ratchet.candidates import CANDIDATES
from ratchet.settings import Settings
from ratchet.storage import open_storage
from ratchet.windows import Window

ROWS = 3_600_000  # of Amazon Reviews Polarity; the test set is a ninth
ONCE = ("ingest", "preprocess", "split")

# Fargate on demand, Linux on x86, us-east-1, list prices of November 2026; 2 vCPUs come with 4 to 16 GiB in steps of 1.
VCPUS, VCPU_HOUR, GIB_HOUR = 2, 0.04048, 0.004445
SIZES = range(4, 17)
SHORTEST = 60  # seconds billed at least

MOST_GIB, MOST_GROWTH, MOST_MINUTES = 8, 4, 5


@dataclass(frozen=True)
class Cost:
    """What one job took: wall clock of its process, from starting Python to its end, and its peak memory."""

    job: str
    seconds: float
    gib: float


@dataclass(frozen=True)
class Week:
    window: Window
    reviews: int
    costs: Sequence[Cost]

    def seconds(self, *jobs: str) -> float:
        """All seconds, or those of some kinds of jobs."""
        return sum(cost.seconds for cost in self.costs if not jobs or cost.job in jobs)

    @property
    def largest(self) -> Cost:
        return max(self.costs, key=lambda cost: cost.gib)


def task_gib(weeks: Sequence[Week]) -> int:
    """The memory of the smallest Fargate task with 2 vCPUs that holds every job, in GiB."""
    return next(size for size in SIZES if size >= max(week.largest.gib for week in weeks))


def dollars(costs: Sequence[Cost], gib: int) -> float:
    """The price of one task a job; seconds of starting a task, before its process runs, are not in it."""
    billed = sum(max(SHORTEST, math.ceil(cost.seconds)) for cost in costs)
    return billed / 3600 * (VCPUS * VCPU_HOUR + gib * GIB_HOUR)


def run(settings: Settings, job: str, **arguments: str) -> Cost:
    """Run one job to its end; its manifest says how much memory it took."""
    given = [word for name, text in arguments.items() for word in (f"--{name}", text)]
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "ratchet", job, *given], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{job} {arguments} ended with {ended.returncode}:\n{ended.stdout[-2000:]}{ended.stderr}")
    made = manifests.read(open_storage(settings.store), catalogue.JOBS[job](**arguments).room, f"ratchet {job}")
    cost = Cost(job, seconds, made.peak_memory_mib / 1024)
    print(f"{job:10} {' '.join(arguments.values())[-40:]:40} {seconds:7.1f} s {cost.gib:6.2f} GiB", flush=True)
    return cost


def jobs(number: int, settings: Settings) -> Iterator[Cost]:
    """Run every job of a week, as the DAG would."""
    week = plan({"window_end": number}, None, settings)
    if week.first:
        yield run(settings, "ingest", source=week.source)
        yield run(settings, "preprocess")
        yield run(settings, "split", batches=str(settings.seed_batches))
    for arguments in unfeaturized(week.window, settings):
        yield run(settings, "featurize", **arguments)
    if not week.first:
        yield run(settings, "score", batch=week.batch)
    names = list(CANDIDATES) if week.first else [week.candidate]
    for name in names:
        yield run(settings, "train", window=week.window, candidate=name)
    yield run(settings, "evaluate", window=week.window, candidates=",".join(names))
    yield run(settings, "promote", window=week.window)


def rehearse(root: Path, source: str, weeks: int) -> tuple[list[Week], dict[str, int]]:
    """All weeks, and what became of the rows of the source."""
    done = []
    with services.running(root / "services", source=source, cache=root / "cache") as running:
        with applied({**running.environment, "RATCHET_STORE": str(root / "store")}):
            settings = Settings()
            storage = open_storage(settings.store)
            for number in range(weeks):
                window, costs = Window(number), list(jobs(number, settings))
                rows = manifests.read(storage, keys.split(keys.SEED), "ratchet split").rows
                done.append(Week(window, sum(rows[keys.batch_name(each)] for each in window.batches), costs))
        return done, manifests.read(storage, keys.processed(keys.SEED), "ratchet preprocess").rows


def report(weeks: Sequence[Week], rows: dict[str, int], size: int, source: str) -> str:
    """The section of docs/benchmarks.md."""
    gib = task_gib(weeks)
    seed = [cost for cost in weeks[0].costs if cost.job in ONCE]
    first = weeks[0].seconds() - weeks[0].seconds(*ONCE)
    growth = weeks[-1].seconds() / first
    size_given = f" ROWS={size}" if size != ROWS else ""
    lines = [
        f"`make bench-full REVIEWS={source}{size_given}`: {rows['read']:,} rows read = {rows['accepted']:,} accepted + "
        f"{rows['quarantined']:,} quarantined, of them {rows['duplicates']:,} duplicates. {os.cpu_count()} cores, "
        f"Python {platform.python_version()}. Real rows are repeated; in every copy but the first each word of a text "
        f"is dropped with probability {copies.DROPPED:.0%} and replaced with probability {copies.REPLACED:.0%}. Read "
        "costs from it, never scores: `tests/bench/copies.py` says why.\n",
        "| the seed, once | " + " | ".join(cost.job for cost in seed) + " |",
        "|---" * (len(seed) + 1) + "|",
        "| seconds | " + " | ".join(f"{cost.seconds:.0f}" for cost in seed) + " |",
        "| peak, GiB | " + " | ".join(f"{cost.gib:.2f}" for cost in seed) + " |\n",
        "| week | window | reviews | featurize, s | score, s | train, s | evaluate, s | promote, s | all, s "
        "| peak, GiB | of | dollars |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for week in weeks:
        costs = [cost for cost in week.costs if cost.job not in ONCE]
        shown = Week(week.window, week.reviews, costs)
        each = [f"{shown.seconds(job):.1f}" for job in ("featurize", "score", "train", "evaluate", "promote")]
        cells = [str(week.window.end), str(week.window), f"{week.reviews:,}", *each, f"{shown.seconds():.1f}"]
        cells += [f"{shown.largest.gib:.2f}", shown.largest.job, f"{dollars(costs, gib):.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    everything = [cost for week in weeks for cost in week.costs]
    peak = max(week.largest.gib for week in weeks)
    lines += [
        "\nSeconds are of processes, from starting Python to their end, one job after another, against a folder: S3's "
        "transfers and Fargate's start of a task are not in them. Week 0 featurizes the test set too, trains all "
        f"{len(CANDIDATES)} candidates and has no champion to score. Dollars: one Fargate task a job, on demand, with "
        f"{VCPUS} vCPUs and {gib} GiB, the least that holds every job, at us-east-1's list price for Linux on x86 of "
        f"November 2026 (${VCPU_HOUR} a vCPU-hour, ${GIB_HOUR} a GB-hour), by the second, at least a minute each: an "
        f"assumption, no bill. The seed costs ${dollars(seed, gib):.3f}, all {len(weeks)} weeks with it "
        f"${dollars(everything, gib):.2f}. Week {weeks[-1].window.end} takes {growth:.1f} times week 0, and "
        f"{weeks[-1].seconds() / weeks[min(1, len(weeks) - 1)].seconds():.1f} times week 1, whose jobs are the same.\n",
        goal(peak < MOST_GIB, f"peak memory of any job under {MOST_GIB} GiB: {peak:.2f}"),
        goal(growth <= MOST_GROWTH, f"week {weeks[-1].window.end} at most {MOST_GROWTH} times week 0: {growth:.1f}"),
        goal(
            weeks[0].seconds(*ONCE) <= 60 * MOST_MINUTES,
            f"ingest, preprocess and split in {MOST_MINUTES} minutes: {weeks[0].seconds(*ONCE) / 60:.1f}",
        ),
    ]
    return "\n".join(lines)


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
        wanted = source_of(given.reviews), root / "source", given.rows, given.rows // 9
        subprocess.run([sys.executable, "-m", "bench.copies", *map(str, wanted)], check=True)
        print(f"source made in {time.perf_counter() - began:.0f} s", flush=True)
        weeks, rows = rehearse(root, str(root / "source"), given.weeks)
    text = report(weeks, rows, given.rows, Path(given.reviews).name)
    print(text)
    if given.write:
        section.write("full", text)


if __name__ == "__main__":
    main()
