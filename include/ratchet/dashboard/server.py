"""The dashboard as a process: this one becomes Streamlit's, so that signals reach it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from ratchet.dashboard.colours import BLUE
from ratchet.dashboard.settings import DashboardSettings

OPTIONS = {
    "server.headless": "true",  # opens no browser and asks for no e-mail address
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "runner.magicEnabled": "false",  # which puts every string that stands alone onto the page
    "theme.primaryColor": BLUE,  # red is for what went wrong
    "client.showErrorDetails": "none",  # a traceback belongs into the log
}


def serve(settings: DashboardSettings, host: str, port: int) -> NoReturn:
    """Show the pages until SIGTERM or Ctrl-C."""
    options = OPTIONS | {"server.address": host, "server.port": str(port)}
    script = Path(__file__).with_name("app.py")
    command = ["-m", "streamlit", "run", str(script), *(f"--{name}={text}" for name, text in options.items())]
    os.execve(sys.executable, [sys.executable, *command], os.environ | {"RATCHET_STORE": settings.store})
