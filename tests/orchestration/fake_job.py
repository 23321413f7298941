"""Replaces the training image's `ratchet`: it counts its launches and behaves as a file defines.

It writes a real manifest to a real store, or fails, or exits with code 0 and no manifest.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ratchet.errors import InputError
from ratchet.jobs.base import JobContext
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.storage import open_storage
from ratchet.settings import Settings


def main() -> None:
    folder = Path(os.environ["FAKE_JOB_FOLDER"])
    behaviour = (folder / "behaviour").read_text().split()
    with (folder / "launches").open("a") as launches:
        launches.write(f"{os.environ['RATCHET_LAUNCH']}\n")
    while "wait" in behaviour and not (folder / "go").exists():
        time.sleep(0.02)
    if "fail" in behaviour:
        print("no space left on device", flush=True)
        sys.exit(1)
    if "killed" in behaviour:
        sys.exit(137)  # what Docker and ECS report for a process that was killed because it ran out of memory
    if "input_error" in behaviour:
        print("ratchet: the archive is empty", flush=True)
        sys.exit(InputError.exit_code)
    if "manifest" in behaviour:
        name, *options = sys.argv[1:]
        force = "--force" in options
        pairs = [option for option in options if option != "--force"]
        arguments = {pairs[at].removeprefix("--"): pairs[at + 1] for at in range(0, len(pairs), 2)}
        settings = Settings()

        class Nothing(JOBS[name]):
            def run(self, context: JobContext) -> None:
                """Do nothing: only the manifest matters here."""

        Nothing.name = name
        Nothing(**arguments).execute(open_storage(settings.store), settings, force=force)


if __name__ == "__main__":
    main()
