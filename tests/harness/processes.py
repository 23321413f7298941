"""Processes that tests start, and end themselves."""

from __future__ import annotations

import subprocess


def end(process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    """Ask it to end; after that time it is killed."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
