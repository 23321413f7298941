"""`python -m dag_bundle release` where a release is deployed, `python -m dag_bundle fetch` where a container starts."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dag_bundle.errors import NoRelease, ReleaseError, StoreUnavailable
from dag_bundle.fetch import current_release, fetch, switch_current
from dag_bundle.object_store import ObjectStore, open_store
from dag_bundle.release import commit_of, release


def main() -> int:
    """Run the command that the arguments name; returns the exit code, 1 for a ReleaseError."""
    options = argument_parser().parse_args()
    try:
        options.run(options)
    except ReleaseError as error:
        print(f"dag_bundle: {error}", file=sys.stderr)
        return 1
    return 0


def argument_parser() -> argparse.ArgumentParser:
    """The parser of both commands; `run` in its result is the function of the chosen one."""
    parser = argparse.ArgumentParser(prog="python -m dag_bundle", description=__doc__)
    commands = parser.add_subparsers(required=True)
    releasing = commands.add_parser("release", help="upload the project's DAGs and make them the current release")
    releasing.add_argument("--to", required=True, metavar="URI", help="s3://bucket/prefix, or a folder")
    releasing.add_argument(
        "--project", type=Path, default=Path(), metavar="FOLDER", help="contains dags/, plugins/ and include/"
    )
    releasing.set_defaults(run=run_release)
    fetching = commands.add_parser("fetch", help="fetch the current release and point INTO/current at it")
    fetching.add_argument("--from", required=True, dest="source", metavar="URI", help="s3://bucket/prefix, or a folder")
    fetching.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="contains one folder per release")
    fetching.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="wait at most this long for a first release"
    )
    fetching.set_defaults(run=run_fetch)
    return parser


def run_release(options: argparse.Namespace) -> None:
    """Release a project and print what was uploaded."""
    made = release(options.project, open_store(options.to), commit_of(options.project))
    state = "is now current" if made.pointer_moved else "was current already"
    print(
        f"Release {made.sha:.12} of commit {made.commit} {state} in {options.to}: "
        f"{made.files} files, {made.bytes / 1000:.0f} kB, {made.uploaded} uploaded."
    )


def run_fetch(options: argparse.Namespace) -> None:
    """Fetch the current release, point the link at it and print where it is."""
    store = open_store(options.source)
    sha = wait_for_release(store, options.wait)
    fetch(store, options.into, sha)
    print(f"Release {sha:.12} of {options.source} is in {switch_current(options.into, sha)}.")


def wait_for_release(store: ObjectStore, seconds: float) -> str:
    """The name of the current release, polled once a second.

    Raises NoRelease or StoreUnavailable if there is none, or the store does not answer, after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return current_release(store)
        except (NoRelease, StoreUnavailable):
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


if __name__ == "__main__":
    sys.exit(main())
