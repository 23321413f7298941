"""`make bench-serving`: the API under load on this machine, while champions change, and beside `mlflow models serve`.

Generator, API and MLflow's server are processes of their own on the same cores. Writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq

from bench import load, section
from bench.load import Array, Plan
from bench.section import goal
from bench.servers import api, mlflow_models_serve, prepared
from harness.serving import KEY, TRAININGS, Deployment, wait_until
from local.demo import absolute_source
from ratchet.jobs import keys

SWAPS, PACE, LONGEST = 200, 0.75, 240  # seconds from one to the next at least, and of load beside them at most
CONNECTIONS = 300  # more than the API lets in at once, so that all its limits are met
CLOSED = (4, 16, 32)  # connections, each of which sends a request when the last one is answered
KNEE_P99 = 0.025  # seconds, ten times what an idle service takes; beyond the knee p99 is, or some are refused
MOST_P99, MOST_SLOWER, MOST_RECOVERY, LEAST_TIMES = 0.015, 2.0, 10.0, 5.0
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Responses:
    """The results of a load run: for each request when it was due, its latency (both in seconds) and its status."""

    rows: Array

    @property
    def latency(self) -> Array:
        return self.rows[:, 1]

    @property
    def statuses(self) -> dict[int, int]:
        statuses, counts = np.unique(self.rows[:, 2].astype(int), return_counts=True)
        return dict(zip(statuses.tolist(), counts.tolist(), strict=True))

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != httpx.codes.OK)

    def quantile(self, share: float) -> float:
        """A quantile of the latency of requests with status 200, in milliseconds."""
        good = self.latency[self.rows[:, 2] == httpx.codes.OK]
        return float(np.quantile(good, share)) * 1000 if len(good) else float("inf")

    def between(self, begin: float, end: float) -> Responses:
        due = self.rows[:, 0]
        return Responses(self.rows[(due >= begin) & (due < end)])

    def throughput(self, seconds: float) -> float:
        return float((self.rows[:, 2] == httpx.codes.OK).sum()) / seconds


@dataclass
class Load:
    """The load generator for one server."""

    folder: Path
    port: int
    path: str
    bodies: Sequence[str]
    count: int = field(default=0)

    @contextmanager
    def running(
        self, phases: Sequence[tuple[float, float]], connections: int, *, stop: bool = False
    ) -> Iterator[list[Responses]]:
        """Run the load while the block runs, and on unless `stop`; afterwards the yielded list has its responses."""
        self.count += 1
        name = f"{self.path.strip('/').replace('/', '-')}-{self.count}"
        plan, out = (self.folder / f"{name}.{end}" for end in ("json", "npy"))
        head = HEAD.format(path=self.path, key=KEY)
        load.save(Plan(self.port, head, self.bodies, phases, connections, seed=self.count), plan)
        found: list[Responses] = []
        process = subprocess.Popen([sys.executable, "-m", "bench.load", str(plan), str(out)])
        try:
            yield found
            if stop:
                process.terminate()
            if process.wait(600):
                raise RuntimeError(f"the load generator ended with {process.returncode}")
            found.append(Responses(np.load(out)))
        finally:
            process.kill()
            process.wait()

    def run(self, *phases: tuple[float, float], connections: int = CONNECTIONS) -> Responses:
        with self.running(phases, connections) as found:
            pass
        return found[0]

    def saturate(self, seconds: float) -> float:
        """Throughput in requests a second with closed-loop callers; the best of some numbers of callers."""
        return max(self.run((seconds, 0), connections=each).throughput(seconds) for each in CLOSED)


def knee(generator: Load, saturation: float) -> tuple[float, Responses]:
    """The highest rate at which nothing is refused and p99 is below KNEE_P99, to a twentieth; and its responses."""
    low, high, best = 0.2 * saturation, 1.3 * saturation, None
    while high - low > high / 20:
        rate = (low + high) / 2
        for _ in range(2):  # twice, because another process may have used the machine
            seen = generator.run((4, rate))
            if good := seen.failed == 0 and seen.quantile(0.99) < KNEE_P99 * 1000:
                break
        report_progress(f"  {rate:.0f} a second: {seen.statuses}, p99 {seen.quantile(0.99):.1f} ms")
        low, high, best = (rate, high, seen) if good else (low, rate, best)
    if best is None:
        raise RuntimeError("even the lowest rate was too much; is the machine busy?")
    return low, best


def swapped(generator: Load, deployment: Deployment, rate: float) -> tuple[Responses, float]:
    """Load while champions change, at most one in PACE seconds; and how long that took, in seconds."""
    with generator.running([(LONGEST, rate)], CONNECTIONS, stop=True) as found, httpx.Client(timeout=60) as client:
        url, begun = f"http://127.0.0.1:{generator.port}/ready", time.monotonic()
        for swap in range(1, SWAPS + 1):
            version = swap % len(TRAININGS) + 1  # of three; the cache keeps two, so each is downloaded
            deployment.promote(version)
            wait_until(partial(_serves, client, url, version))
            time.sleep(max(0.0, begun + PACE * swap - time.monotonic()))
        took = time.monotonic() - begun
    if took > LONGEST:
        raise RuntimeError(f"{SWAPS} swaps took {took:.0f} s; the load had ended. Is the machine busy?")
    return found[0].between(0, took), took


def _serves(client: httpx.Client, url: str, version: int) -> bool:
    return bool(client.get(url).json().get("model_version") == version)


def recovery(seen: Responses, over: float, end: float, calm: float) -> float:
    """Seconds after the overload until every second has only 200 and a p99 of at most twice the calm one."""
    bad = [
        second + 1
        for second in np.arange(over, end)
        if (one := seen.between(second, second + 1)).failed or one.quantile(0.99) > 2 * calm
    ]
    return max(bad, default=over) - over


@dataclass(frozen=True)
class Measured:
    """All figures of the section; rates are in requests a second."""

    rows: int
    saturation: float
    knee: float
    at_knee: Responses
    calm: Responses
    overload: Responses
    recovery: float
    still: Responses
    changing: Responses
    took: float
    theirs: float
    theirs_one: Responses
    ours_one: Responses


def measure(source: str, folder: Path) -> Measured:
    """Run all measurements, one after the other."""
    with prepared(source, folder) as deployment:
        store = deployment.mlflow.bench.store
        reviews = pq.read_table(store / keys.reviews(keys.TEST), columns=["title", "text"]).to_pylist()[:500]
        with api(deployment, folder) as port:
            ours = Load(folder, port, "/v1/predict", [json.dumps({"reviews": [each]}) for each in reviews])
            ours.run((3, 100))  # warm
            saturation = ours.saturate(4)
            report_progress(f"saturated: {saturation:.0f} a second")
            rate, at_knee = knee(ours, saturation)
            calm = ours.run((20, 0.7 * rate))
            report_progress(f"at 70 % of the knee: {calm.statuses}, p99 {calm.quantile(0.99):.1f} ms")
            over = ours.run((10, 2 * rate), (15, 0.5 * rate))
            overload, after = over.between(0, 10), over.between(10, 25)
            report_progress(
                f"overload: {overload.statuses}, p99 {overload.quantile(0.99):.1f} ms; then {after.statuses}"
            )
            before = ours.run((20, 0.5 * rate))
            changing, took = swapped(ours, deployment, 0.5 * rate)
            still = Responses(np.concatenate([before.rows, ours.run((20, 0.5 * rate)).rows]))
            report_progress(f"swaps: {changing.statuses} in {took:.0f} s, p99 {changing.quantile(0.99):.1f} ms")
            one = ours.run((3, 0), connections=1)
        with mlflow_models_serve(deployment, folder) as port:
            frames = [{"columns": list(each), "data": [list(each.values())]} for each in reviews]
            theirs = Load(folder, port, "/invocations", [json.dumps({"dataframe_split": each}) for each in frames])
            theirs.run((3, 0), connections=1)  # warm
            reached = theirs.saturate(4)
            report_progress(f"mlflow models serve: {reached:.0f} a second")
            their_one = theirs.run((3, 0), connections=1)
        calm_p99 = before.quantile(0.99)
        split = deployment.mlflow.bench.manifest(keys.split(keys.SEED)).rows
        rows = sum(count for name, count in split.items() if name != keys.TEST)
    back = recovery(over, 10, 25, calm_p99)
    return Measured(
        rows, saturation, rate, at_knee, calm, overload, back, still, changing, took, reached, their_one, one
    )


def report_progress(words: str) -> None:
    print(words, flush=True)


def row(name: str, rate: float | str, seen: Responses) -> str:
    """A row of the table."""
    good, statuses = seen.statuses.get(httpx.codes.OK, 0), seen.statuses
    others = ", ".join(f"{count:,} × {status or 'none'}" for status, count in statuses.items() if status != 200) or "–"
    quantiles = " | ".join(f"{seen.quantile(share):.1f}" for share in (0.5, 0.99, 0.999))
    rate = rate if isinstance(rate, str) else f"{rate:,.0f}"
    return f"| {name} | {rate} | {good:,} | {others} | {quantiles} |"


def report(found: Measured, source: str) -> str:
    """The section of docs/benchmarks.md."""
    slower = found.changing.quantile(0.99) / found.still.quantile(0.99)
    times, p99 = found.saturation / found.theirs, found.calm.quantile(0.99)
    shed = set(found.overload.statuses) - {200, 429, 503}
    lines = [
        f"`make bench-serving REVIEWS={source}`: versions trained on {found.rows:,} reviews or on half, one of 500 "
        f"test reviews a request, one worker, {os.cpu_count()} cores for API, load generator and MLflow together, "
        f"Python {platform.python_version()}. Requests are due at random moments over {CONNECTIONS} connections, and "
        "latency counts from when they are due, at the caller. The knee is the highest rate at which for 4 s, in one "
        f"of two tries, nothing was refused and p99 stayed below {KNEE_P99 * 1000:.0f} ms.\n",
        "| | requests a second | 200 | others | p50, ms | p99, ms | p99.9, ms |",
        "|---" * 7 + "|",
        row("the knee", found.knee, found.at_knee),
        row("70 % of it, 20 s", 0.7 * found.knee, found.calm),
        row("twice the knee, 10 s", 2 * found.knee, found.overload),
        row("half of it, no swaps, 2 × 20 s", 0.5 * found.knee, found.still),
        row(f"half of it, {SWAPS} swaps in {found.took:.0f} s", 0.5 * found.knee, found.changing),
        row("one caller after the other", f"{found.ours_one.throughput(3):,.0f}", found.ours_one),
        row("`mlflow models serve`, the same", f"{found.theirs_one.throughput(3):,.0f}", found.theirs_one),
        "",
        f"As fast as they answer, the best of {', '.join(map(str, CLOSED))} callers: {found.saturation:,.0f} "
        "requests a second, `mlflow models serve` of the same version (`--env-manager local`, its one worker) "
        f"{found.theirs:,.0f}. Each swap is to a version that the cache does not hold: downloaded from MLflow, "
        "verified, loaded and warmed on the same cores. Every answer has its row in Postgres before it is sent.\n",
        goal(found.changing.failed == 0, f"{SWAPS} swaps without a failed request: {found.changing.failed}"),
        goal(slower <= MOST_SLOWER, f"p99 while champions change at most {MOST_SLOWER:g} times without: {slower:.1f}"),
        goal(
            found.calm.failed == 0 and p99 <= MOST_P99 * 1000,
            f"at 70 % of the knee p99 within {MOST_P99 * 1000:.0f} ms and no error: {p99:.1f} ms, {found.calm.failed}",
        ),
        goal(
            not shed, f"at twice the knee only 200, 429 and 503: {', '.join(map(str, sorted(found.overload.statuses)))}"
        ),
        goal(
            found.recovery <= MOST_RECOVERY,
            f"back to normal within {MOST_RECOVERY:.0f} s of the overload's end: {found.recovery:.0f} s",
        ),
        goal(times >= LEAST_TIMES, f"{LEAST_TIMES:g} times the throughput of `mlflow models serve`: {times:.1f}"),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-serving")
    parser.add_argument("--reviews", required=True, help="A source of reviews with a test file.")
    parser.add_argument("--write", action="store_true", help="Put the section into docs/.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratchet-serving-") as folder:
        text = report(measure(absolute_source(arguments.reviews), Path(folder)), Path(arguments.reviews).name)
    print(text)
    if arguments.write:
        section.write("serving", text)


if __name__ == "__main__":
    main()
