"""The cost of the prediction log: requests a second without it, buffered and in fsync mode, on each kind of sink.

    PYTHONPATH=tests python -m bench.prediction_log

The API runs as a process of its own, as `ratchet serve` starts it; callers in this one keep their connections open.
Both share the machine, so what is compared is the ratio within one run, of the best of some rounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import product
from pathlib import Path

from harness.jobs import Bench
from local.processes import postgres

KEY = "a-key-for-the-bench"
TEXT = "It works well and does not cost much, but the box was broken when it came and one screw was missing. " * 4
MODES = ("none", "buffered", "fsync")
NONE = """
import ratchet.serving.app
from contextlib import nullcontext

class NoLog(nullcontext):
    async def record_async(self, predictions):
        pass

ratchet.serving.app.create_prediction_log = lambda settings: NoLog()
"""
SERVE = """
from ratchet import logs
from ratchet.serving.server import serve
from ratchet.serving.settings import ServingSettings
logs.configure()
serve(ServingSettings(), "127.0.0.1", 0)
"""


@contextmanager
def api(store: Path, log: str, mode: str) -> Iterator[int]:
    """Run the API; yields its port when it is ready."""
    own = {
        "RATCHET_STORE": str(store),
        "RATCHET_SERVING_KEYS": sha256(KEY.encode()).hexdigest(),
        "RATCHET_SERVING_CACHE": str(store / "cache"),
        "RATCHET_SERVING_LOG": log,
        "RATCHET_SERVING_LOG_MODE": "buffered" if mode == "buffered" else "fsync",
        "RATCHET_SERVING_LOG_SPOOL": str(store / "spool"),
        "RATCHET_SERVING_DRAIN_SECONDS": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    script = (NONE if mode == "none" else "") + SERVE
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | own, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = next(event["port"] for event in map(json.loads, process.stdout) if event["event"] == "listening")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        while _get(port, "/ready") != http.client.OK:
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def measure(port: int, reviews: int, callers: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and their median latency in milliseconds."""
    body = json.dumps({"reviews": [{"title": "Great value", "text": TEXT}] * reviews}).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    taken: list[float] = []
    begun = time.perf_counter()

    def load() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while not taken or time.perf_counter() < begun + seconds:
            sent = time.perf_counter()
            connection.request("POST", "/v1/predict", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == http.client.OK
            taken.append(time.perf_counter() - sent)
        connection.close()

    threads = [threading.Thread(target=load) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(taken) / (time.perf_counter() - begun), sorted(taken)[len(taken) // 2] * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--sinks", nargs="+", default=["postgres", "sqlite", "files"])
    parser.add_argument("--reviews", type=int, nargs="+", default=[1, 100], help="in each request")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder, postgres.running(Path(folder) / "pg") as urls:
        store = Path(folder) / "store"
        bench = Bench(store)
        bench.prepare("synthetic:rows=2000&weeks=1&test_rows=500&noise=0&drift_week=none", batches=1)
        bench.week("0-0")
        print("sink      mode      reviews callers  requests/s   ratio  median ms")
        logs = {"postgres": urls["ratchet"], "sqlite": "", "files": str(store / "log")}
        for sink in arguments.sinks:
            best: dict[tuple[str, int, int], tuple[float, float]] = {}
            for _, mode in product(range(arguments.rounds), MODES):
                with api(store, logs[sink], mode) as port:
                    for reviews, callers in product(arguments.reviews, arguments.callers):
                        measure(port, reviews, callers, 0.3)  # to warm up
                        found = measure(port, reviews, callers, arguments.seconds)
                        best[mode, reviews, callers] = max(found, best.get((mode, reviews, callers), (0.0, 0.0)))
            for (mode, reviews, callers), (rate, median) in sorted(best.items(), key=lambda item: item[0][1:]):
                ratio = rate / best["none", reviews, callers][0]
                print(f"{sink:9} {mode:9} {reviews:7} {callers:7} {rate:11.0f} {ratio:7.2f} {median:10.2f}", flush=True)


if __name__ == "__main__":
    main()
