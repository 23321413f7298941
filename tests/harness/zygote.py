"""A process that has everything imported and forks itself for each command of the CLI, so that a run costs no start.

Started on a store that it may change, it first runs a week there itself, so that its forks find everything imported.
Then it reads one request a line, as JSON: `argv`, and `kill_after`, the seconds after which the fork gets a SIGKILL, or
null. It replies with `status` (an exit code, or minus a signal), `seconds`, and the `output` of the fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from typing import NoReturn

from typer.testing import CliRunner

from ratchet.cli import app as cli

WEEK = ("train --window 0-0 --force", "promote --window 0-0 --force", "doctor")


def become(argv: list[str], output: int) -> NoReturn:
    """Run `ratchet ARGV` in this process, which ends with it."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["ratchet", *argv]
    try:
        cli.main()
    except SystemExit as left:
        sys.stdout.flush()
        os._exit(left.code if isinstance(left.code, int) else 0)
    finally:
        os._exit(99)


def run(argv: list[str], kill_after: float | None) -> dict[str, object]:
    with tempfile.TemporaryFile() as written:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            become(argv, written.fileno())
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if kill_after is not None and time.monotonic() - began >= kill_after:
                os.kill(child, signal.SIGKILL)
                ended = os.waitpid(child, 0)
                break
            time.sleep(0.001)
        seconds = time.monotonic() - began
        written.seek(0)
        output = written.read().decode()
    return {"status": os.waitstatus_to_exitcode(ended[1]), "seconds": seconds, "output": output}


if __name__ == "__main__":
    for command in WEEK:
        CliRunner().invoke(cli.app, [*command.split(), "--store", sys.argv[1]], catch_exceptions=False)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
