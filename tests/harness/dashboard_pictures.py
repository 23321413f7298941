"""Screenshots of the pages for docs/images, of an existing store and a simulated prediction log; needs Chromium.

    PYTHONPATH=include:tests python -m harness.dashboard_pictures STORE API_ADDRESS API_KEY docs/images [PAGE …]

STORE is a folder in which some weeks were run, with its ledger beside the data; the log is a temporary file.
"""

from __future__ import annotations

import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
from PIL import Image
from ratchet.prediction_log.predictions import Arm

from harness.browser import Tab, browser
from harness.dashboard import PAGES, Label, LogRow, fill_log

WIDTH, TALLEST = 1200, 2400
READY = (
    "document.querySelector('h1') && !document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')"
)
DRAWN = "[...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(e => e.querySelector('canvas, svg'))"
HEIGHT = "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"


def simulate_requests(url: str, versions: tuple[int, int], reviews: int = 12_000) -> None:
    """Log ten weeks of requests, most in the last week and by day; in the last 120 hours a challenger has a tenth."""
    chance, now = random.Random(0), datetime.now(UTC)
    rows: list[LogRow] = []
    labels: dict[str, Label] = {}
    for number in range(reviews):
        hours = chance.random() * 168 if number % 3 else chance.random() * 10 * 168
        if chance.random() > 0.6 + 0.4 * math.sin((now - timedelta(hours=hours)).hour / 24 * 2 * math.pi - 2):
            continue
        is_challenger = hours < 120 and chance.random() < 0.1
        probability = chance.betavariate(0.5, 0.4)
        name = f"review-{number}"
        arm: Arm = "challenger" if is_challenger else "champion"
        version = versions[1] if is_challenger else versions[0] - (hours > 168 * 4)
        rows.append((name, now - timedelta(hours=hours), version, arm, probability))
        if chance.random() < 0.25:
            labels[name] = 1 if chance.random() < 0.07 + 0.86 * (probability > 0.5) else 0
    began = now - timedelta(hours=120)
    fill_log(url, [row for row in rows if row[1] < began], {})
    fill_log(url, [row for row in rows if row[1] >= began], labels, f"{versions[0]}/{versions[1]}/0.1")


def picture(tab: Tab, path: Path) -> None:
    """Save the page in its full height, in 128 colours, which are enough for text and charts."""
    tab.until(DRAWN)
    before = 0
    while (height := cast("int", tab.evaluate(HEIGHT))) != before:  # charts are drawn one after another
        before = height
        time.sleep(1)
    tab.size(WIDTH, min(TALLEST, max(700, height)))
    tab.picture(path)
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main(store: str, api: str, key: str, output: str, *pages: str) -> None:
    """Take a screenshot of each page, by default of all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ratchet-pictures-") as folder:
        log = f"sqlite:///{folder}/log.db"
        simulate_requests(log, (4, 5))
        names = {"DASHBOARD_API": api, "DASHBOARD_API_KEY": key, "SERVING_LOG": log}
        dashboard = subprocess.Popen(
            [sys.executable, "-m", "ratchet", "dashboard", "--port", str(port), "--store", store],
            env=os.environ | {f"RATCHET_{name}": value for name, value in names.items()},
        )
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
                client.get(f"http://127.0.0.1:{port}/_stcore/health")
            with browser(WIDTH, 900) as tab:
                for name in pages or PAGES:
                    tab.size(WIDTH, 900)
                    tab.open(f"http://127.0.0.1:{port}/{'' if name == 'retraining' else name}")
                    tab.until(READY)
                    if name == "review":
                        tab.click("Classify")
                        tab.until_text("Largest contributions")
                    if name == "live":
                        tab.until_text("In the last")
                    picture(tab, Path(output) / f"dashboard-{name}.png")
        finally:
            dashboard.terminate()
            dashboard.wait(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
