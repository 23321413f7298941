"""End the processes that tests start."""

from __future__ import annotations

import subprocess


def end(process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    """Send SIGTERM and wait; after `seconds`, send SIGKILL."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
