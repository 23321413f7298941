"""Stands where the training image's `ratchet` stands: does as its environment says and counts its launches.

It writes a real manifest to a real store, or fails, or ends well without a manifest.
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
    behaviour = Path(os.environ["FAKE_BEHAVIOUR"])
    words = (behaviour / "do").read_text().split()
    with (behaviour / "launches").open("a") as launches:
        launches.write(f"{os.environ['RATCHET_LAUNCH']}\n")
    while "wait" in words and not (behaviour / "go").exists():
        time.sleep(0.02)
    if "fail" in words:
        print("no space left on device", flush=True)
        sys.exit(1)
    if "starve" in words:
        sys.exit(137)  # what Docker and ECS report of a process that was killed for its memory
    if "refuse" in words:
        print("ratchet: the archive is empty", flush=True)
        sys.exit(InputError.exit_code)
    if "manifest" in words:
        name, *options = sys.argv[1:]
        force = "--force" in options
        pairs = [option for option in options if option != "--force"]
        arguments = {pairs[at].removeprefix("--"): pairs[at + 1] for at in range(0, len(pairs), 2)}
        settings = Settings()

        class Nothing(JOBS[name]):
            def run(self, context: JobContext) -> None:
                """Only the manifest matters here."""

        Nothing.name = name
        Nothing(**arguments).execute(open_storage(settings.store), settings, force=force)


if __name__ == "__main__":
    main()
