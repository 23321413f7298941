"""Run `python -m local.dag_runs` repeatedly in one process, because its first task takes Airflow 12 seconds.

Each line of standard input is a request: the arguments as JSON. Each line of standard output is the result: a JSON
object of the exit `code` and the `output` of the run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

from local import dag_runs


def run(*arguments: Any) -> int:
    """The exit code that the module would have as a process. Each call reads the DAGs and the database again."""
    try:
        dag_runs.main(*arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    results = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryFile() as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        for line in sys.stdin:
            output.seek(0)
            output.truncate()
            code = run(*json.loads(line))
            sys.stdout.flush()
            output.seek(0)
            text = output.read().decode(errors="replace")
            print(json.dumps({"code": code, "output": text}), file=results, flush=True)
