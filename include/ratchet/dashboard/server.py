"""Starts the dashboard: this process is replaced by Streamlit's, so that signals reach Streamlit."""

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
    "runner.magicEnabled": "false",  # it would print every bare string onto the page
    "theme.primaryColor": BLUE,  # red is for errors
    "client.showErrorDetails": "none",  # a traceback belongs in the log
}


def serve(settings: DashboardSettings, host: str, port: int) -> NoReturn:
    """Serve the pages on `host` and `port` until SIGTERM or Ctrl-C."""
    options = OPTIONS | {"server.address": host, "server.port": str(port)}
    script = Path(__file__).with_name("app.py")
    command = ["-m", "streamlit", "run", str(script), *(f"--{name}={text}" for name, text in options.items())]
    environment = os.environ | {"RATCHET_STORE": settings.store}
    os.execve(sys.executable, [sys.executable, *command], environment)  # noqa: RUF100, S606 - no shell is needed
