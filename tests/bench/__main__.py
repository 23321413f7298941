"""`make bench`: train ten growing weeks in several ways; writes the table and the plot of docs/benchmarks.md.

All ways train week 0, then all train week 1, and so on, so that other load on the machine slows all of them alike.
Compare the ways by their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench import section
from bench.section import goal
from bench.ways import WAYS, reviews
from ratchet.features import hashing
from ratchet.features.featurize import vectorizer
from ratchet.jobs import keys
from ratchet.model import artifact
from ratchet.windows import Window

PLOT = section.DOCS / "benchmarks.svg"
OURS = "Ratchet, nb-svm"
GOALS = {"scikit-learn": 30.0, "fastText": 10.0}  # times faster than each, summed over the weeks
ACCURACY = 0.918  # of our best way, which must also reach the best of the others

Costs = dict[str, list[list[dict[str, Any]]]]  # by way, by round, by week


def prepare(source: str, store: Path, weeks: int) -> None:
    """Ingest, preprocess and split a source with the project's own jobs."""
    for job in (["ingest", "--source", source], ["preprocess"], ["split", "--batches", str(weeks)]):
        subprocess.run([sys.executable, "-m", "ratchet.cli.app", *job, "--store", str(store)], check=True)


@dataclass
class Racer:
    """A way's process, which trains the weeks whose numbers it reads."""

    process: subprocess.Popen[str]

    def start(self) -> bool:
        """Wait until the process is ready; False if it ended instead."""
        return bool(self._line())

    def week(self, number: int) -> dict[str, Any]:
        """Train a week; returns its cost."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        cost: dict[str, Any] = json.loads(self._line())
        return cost

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def race(store: Path, weeks: int, ways: list[str], home: Path) -> dict[str, list[dict[str, Any]]]:
    """Run one round, every way for every week; returns the costs by way and week."""
    racers: dict[str, Racer] = {}
    for number, way in enumerate(ways):
        folder = home / str(number)
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "bench.ways", way, str(store), str(folder)]
        racers[way] = Racer(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        if not racers[way].start():
            print(f"{way} does not start on this machine and is omitted.")
            del racers[way]
    costs: dict[str, list[dict[str, Any]]] = {way: [] for way in racers}
    for week in range(weeks):
        for way, racer in racers.items():
            costs[way].append(racer.week(week))
            print(f"week {week}  {way:34} {costs[way][-1]['seconds']:8.2f} s", flush=True)
    for racer in racers.values():
        racer.stop()
    return costs


def accuracy(outcomes: list[int]) -> tuple[float, float, float]:
    """Share of correct predictions with its 95 % score interval (Wilson 1927)."""
    n, p, z = sum(outcomes), (outcomes[0] + outcomes[3]) / sum(outcomes), 1.96
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def macro_f1(outcomes: list[int]) -> tuple[float, float, float]:
    """Macro-F1 with its 95 % bootstrap interval.

    `outcomes` are true negatives, false positives, false negatives and true positives.
    """
    drawn = np.random.default_rng(0).multinomial(sum(outcomes), np.array(outcomes) / sum(outcomes), 10_000)
    tn, fp, fn, tp = np.vstack([outcomes, drawn]).T
    scores = tp / (2 * tp + fp + fn) + tn / (2 * tn + fp + fn)
    low, high = np.quantile(scores[1:], [0.025, 0.975]).tolist()
    return float(scores[0]), low, high


def kernel(store: Path, rounds: int = 5) -> tuple[float, float]:
    """MB of text per second of our kernel and of scikit-learn's HashingVectorizer, run in turn on a batch; medians."""
    table = pq.read_table(store / keys.reviews(keys.batch_name(0))).combine_chunks()
    titles, texts = table["title"].chunk(0), table["text"].chunk(0)
    documents, _ = reviews(store, keys.batch_name(0))
    sklearn_vectorizer = vectorizer()
    sizes = (titles.nbytes + texts.nbytes) / 1e6, len(" ".join(documents).encode()) / 1e6
    hashing.count_reviews(titles, texts)
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        began = time.perf_counter()
        hashing.count_reviews(titles, texts)
        between = time.perf_counter()
        sklearn_vectorizer.transform(documents)
        done = time.perf_counter()
        found.append((sizes[0] / (between - began), sizes[1] / (done - between)))
    ours, other = zip(*found, strict=True)
    return statistics.median(ours), statistics.median(other)


def one_review(folder: Path, store: Path) -> tuple[float, float]:
    """Milliseconds to load a model and score a first review, and microseconds per review after that; medians."""
    loads = []
    for _ in range(9):
        began = time.perf_counter()
        model = artifact.load(folder)
        model.read([""], ["good"])
        loads.append(1e3 * (time.perf_counter() - began))
    reads = []
    for text in reviews(store, keys.TEST)[0][:2000]:
        began = time.perf_counter()
        model.read([""], [text])
        reads.append(1e6 * (time.perf_counter() - began))
    return statistics.median(loads), statistics.median(reads)


def seconds(rounds: list[list[dict[str, Any]]], clock: str = "seconds") -> list[float]:
    """The median over the rounds, by week."""
    return [statistics.median(cost[clock] for cost in week) for week in zip(*rounds, strict=True)]


def report(costs: Costs, source: str, rows: int, speeds: tuple[float, float], one: tuple[float, float]) -> str:
    """The section of docs/benchmarks.md."""
    total = {way: sum(seconds(rounds)) for way, rounds in costs.items()}
    cpu = {way: sum(seconds(rounds, "cpu")) for way, rounds in costs.items()}
    last = {way: rounds[-1][-1] for way, rounds in costs.items()}
    weeks, rounds = len(seconds(costs[OURS])), len(costs[OURS])
    lines = [
        f"`make bench REVIEWS={source}`: {rows:,} training reviews in {weeks} growing windows, {rounds} round(s), "
        f"{os.cpu_count()} cores, Python {platform.python_version()}. Seconds are of featurizing and fitting; "
        "Ratchet's are of its jobs, with reading, a second fit for calibration and validation, and published files.\n",
        "| way | all weeks, s | first | last | times ours | CPU, s | times ours | peak, GiB | accuracy | macro-F1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for way in costs:
        each = seconds(costs[way])
        scores = ["{:.4f} [{:.4f}, {:.4f}]".format(*score(last[way]["outcomes"])) for score in (accuracy, macro_f1)]
        peak = max(cost["peak"] for weeks in costs[way] for cost in weeks) / 1024
        cells = [f"{total[way]:.1f}", f"{each[0]:.2f}", f"{each[-1]:.2f}", f"{total[way] / total[OURS]:.1f}"]
        cells += [f"{cpu[way]:.1f}", f"{cpu[way] / cpu[OURS]:.1f}"]
        lines.append(f"| {' | '.join([way, *cells, f'{peak:.2f}', *scores])} |")
    lines += [
        "\n![Seconds by week, in each way](benchmarks.svg)\n",
        f"Featurizing alone: {speeds[0]:.0f} MB of text a second, scikit-learn's HashingVectorizer {speeds[1]:.1f}. A "
        f"model is loaded and has read a first review after {one[0]:.0f} ms; then one review takes {one[1]:.0f} µs.\n",
    ]
    others = [way for way in costs if not way.startswith("Ratchet")]
    for kind, times in GOALS.items():
        found = [total[way] / total[OURS] for way in others if way.startswith(kind)]
        if found:
            lines.append(goal(min(found) >= times, f"{times:.0f} times faster than {kind}: {min(found):.1f}"))
    ours, best = accuracy(last[OURS]["outcomes"])[0], max(accuracy(last[way]["outcomes"])[0] for way in others)
    lines += [
        goal(ours >= best, f"accuracy not below the best of the others, {best:.4f}: {ours:.4f}"),
        goal(ours >= ACCURACY, f"accuracy of at least {ACCURACY}: {ours:.4f}"),
        goal(speeds[0] >= 100, f"100 MB of text a second: {speeds[0]:.0f}"),
        goal(speeds[0] >= 15 * speeds[1], f"15 times HashingVectorizer: {speeds[0] / speeds[1]:.1f}"),
        goal(one[0] < 100, f"a model loads in under 100 ms: {one[0]:.0f}"),
        goal(one[1] < 100, f"one review in under 100 µs: {one[1]:.0f}"),
    ]
    return "\n".join(lines)


def plot(costs: Costs) -> None:
    """Write the plot of seconds by week."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "bench"
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for way, rounds in costs.items():
        axes.plot(seconds(rounds), marker="o", label=way, linestyle="-" if way.startswith("Ratchet") else "--")
    axes.set(xlabel="week", ylabel="seconds", yscale="log", title="Featurizing and fitting, week by week")
    axes.grid(alpha=0.3, which="both")
    axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"], minor=False)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--reviews", default="synthetic:")
    parser.add_argument("--weeks", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--write", action="store_true", help="Write the section and the plot into docs/.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder:
        home = Path(folder)
        store = home / "store"
        prepare(options.reviews, store, options.weeks)
        costs: Costs = {}
        for number in range(options.rounds):
            for way, weeks in race(store, options.weeks, options.ways, home / f"round-{number}").items():
                costs.setdefault(way, []).append(weeks)
        trained = home / "round-0" / str(options.ways.index(OURS)) / keys.model(Window(options.weeks - 1), "nb-svm")
        rows = sum(len(reviews(store, keys.batch_name(week))[1]) for week in range(options.weeks))
        text = report(costs, Path(options.reviews).name, rows, kernel(store), one_review(trained, store))
    print(text)
    if options.write:
        plot(costs)
        section.write("bench", text)


if __name__ == "__main__":
    main()
