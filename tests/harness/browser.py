"""A headless Chromium over its DevTools protocol, to log in, click and take screenshots."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync")
SECONDS = 60.0


class Tab:
    """One page, 1280 by 800."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a DevTools method. Fails with the browser's error."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            response = json.loads(self._socket.recv(timeout=SECONDS))
            if response.get("id") == self._number:
                assert "error" not in response, response
                result: dict[str, Any] = response["result"]
                return result

    def size(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression, awaited."""
        response = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return response["result"].get("value")

    def until(self, expression: str) -> object:
        """Wait until an expression is true, and return its value. Fails with the page's text after 60 s."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if found := self.evaluate(expression):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{expression} stayed false; the page shows: {self.text()[:2000]}")

    def text(self) -> str:
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def until_text(self, *words: str) -> None:
        for word in words:
            self.until(f"document.body && document.body.innerText.includes({json.dumps(word)})")

    def click(self, words: str) -> None:
        """Click the button or link with this text."""
        found = f"[...document.querySelectorAll('button, a')].find(e => e.innerText.trim() === {json.dumps(words)})"
        self.until(f"!!{found}")
        self.evaluate(f"{found}.click()")

    def press(self, element: str) -> None:
        """Click the first element that matches this CSS selector."""
        found = f"document.querySelector({json.dumps(element)})"
        self.until(f"!!{found}")
        self.evaluate(f"{found}.click()")

    def type(self, field: str, words: str) -> None:
        self.until(f"!!document.querySelector({json.dumps(field)})")
        self.evaluate(f"document.querySelector({json.dumps(field)}).focus()")
        self.call("Input.insertText", text=words)

    def picture(self, path: Path) -> None:
        """Write a PNG of the page when two screenshots are equal, or after 15 s, because a clock never stops."""
        before, deadline = b"", time.monotonic() + 15
        while (now := self._screenshot()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(0.7)
        path.write_bytes(now)

    def _screenshot(self) -> bytes:
        return base64.b64decode(str(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(width: int = 1280, height: int = 800) -> Iterator[Tab]:
    """A browser with its own profile; both are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="ratchet-browser-", ignore_cleanup_errors=True) as profile:
        stderr = Path(profile) / "stderr"
        with stderr.open("wb") as log:
            child = subprocess.Popen(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *QUIET,
                 f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            host = _address(stderr, child)
            with urllib.request.urlopen(f"http://{host}/json") as response:
                page = next(target for target in json.load(response) if target["type"] == "page")
            with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                tab = Tab(socket)
                tab.call("Page.enable")
                tab.size(width, height)
                tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
                yield tab
        finally:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(20)


def _address(stderr: Path, child: subprocess.Popen[bytes]) -> str:
    """The host and port of the browser, which it prints when it is ready."""
    deadline = time.monotonic() + SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"ws://([^/]+)/", stderr.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"chromium did not start: {stderr.read_text(errors='replace')[-2000:]}")
