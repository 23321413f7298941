"""Pictures of the pages for docs/images, of a store that is there and of made-up callers; needs Chromium.

    PYTHONPATH=include:tests python -m dashboard.pictures STORE API_ADDRESS API_KEY docs/images [PAGE …]

STORE is a folder in which some weeks were run, with its ledger beside the data; the log gets a file of its own.
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

import httpx
from PIL import Image

from harness.browser import Tab, browser
from harness.dashboard import PAGES, logged

WIDTH, TALLEST = 1200, 2400
READY = (
    "document.querySelector('h1') && !document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]')"
)
DRAWN = "[...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(e => e.querySelector('canvas, svg'))"
HEIGHT = "document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"


def callers(url: str, versions: tuple[int, int], reviews: int = 12_000) -> None:
    """Ten weeks of callers, most of them in the last, more by day than by night; in it a challenger has a tenth."""
    chance, now = random.Random(0), datetime.now(UTC)
    rows, truths = [], {}
    for number in range(reviews):
        hours = chance.random() * 168 if number % 3 else chance.random() * 10 * 168
        if chance.random() > 0.6 + 0.4 * math.sin((now - timedelta(hours=hours)).hour / 24 * 2 * math.pi - 2):
            continue
        is_challenger = hours < 120 and chance.random() < 0.1
        probability = chance.betavariate(0.5, 0.4)
        name = f"review-{number}"
        arm = "challenger" if is_challenger else "champion"
        version = versions[1] if is_challenger else versions[0] - (hours > 168 * 4)
        rows.append((name, now - timedelta(hours=hours), version, arm, probability))
        if chance.random() < 0.25:
            truths[name] = int(chance.random() < 0.07 + 0.86 * (probability > 0.5))
    began = now - timedelta(hours=120)
    logged(url, [row for row in rows if row[1] < began], {})
    logged(url, [row for row in rows if row[1] >= began], truths, f"{versions[0]}/{versions[1]}/0.1")


def picture(tab: Tab, path: Path) -> None:
    """The page as high as it is, in 128 colours, which a page of text and charts does not miss."""
    tab.until(DRAWN)
    before = 0
    while (height := int(tab.evaluate(HEIGHT))) != before:  # charts come one after another
        before = height
        time.sleep(1)
    tab.size(WIDTH, min(TALLEST, max(700, height)))
    tab.picture(path)
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main(store: str, api: str, key: str, output: str, *pages: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ratchet-pictures-") as folder:
        log = f"sqlite:///{folder}/log.db"
        callers(log, (4, 5))
        names = {"DASHBOARD_API": api, "DASHBOARD_API_KEY": key, "SERVING_LOG": log}
        shown = subprocess.Popen(
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
                        tab.click("Read it")
                        tab.until_text("What weighed most")
                    if name == "live":
                        tab.until_text("Of the last")
                    picture(tab, Path(output) / f"dashboard-{name}.png")
        finally:
            shown.terminate()
            shown.wait(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
