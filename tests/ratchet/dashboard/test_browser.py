"""The dashboard in a real browser, from page to page; needs Chromium."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from harness.browser import browser
from ratchet.dashboard import app

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed.")


def test_the_menu_opens_every_page(process: tuple[subprocess.Popen[bytes], str]) -> None:
    """Each entry of the menu opens its page; the address of a page opens it with its charts."""
    _, address = process
    with browser() as tab:
        tab.open(address)
        for entries in app.MENU.values():
            for _, title, _ in entries:
                tab.until(f"{links(title)}.length == 1")
                tab.evaluate(f"{links(title)}[0].click()")
                tab.until(f"document.querySelector('h1')?.innerText.trim() === '{title}'")
        tab.open(f"{address}/models")
        tab.until("document.querySelectorAll('[data-testid=stVegaLiteChart] :is(canvas, svg)').length == 2")
        assert "Traceback" not in tab.text()


def links(title: str) -> str:
    """A JavaScript expression for the entries of the menu with this title."""
    entries = "[...document.querySelectorAll('[data-testid=stSidebarNavLink]')]"
    return f"{entries}.filter(link => link.innerText.trim().endsWith('{title}'))"
