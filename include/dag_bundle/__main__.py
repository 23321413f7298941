"""`python -m dag_bundle release` on the side that deploys, `python -m dag_bundle fetch` where a container starts."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from dag_bundle.errors import DeliveryError, NoRelease, PlaceUnavailable
from dag_bundle.fetch import current, fetch, switch
from dag_bundle.object_store import Place, open_place
from dag_bundle.release import commit_of, release


def main() -> int:
    asked = arguments().parse_args()
    try:
        asked.run(asked)
    except DeliveryError as error:
        print(f"dag_bundle: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dag_bundle", description=__doc__)
    commands = parser.add_subparsers(required=True)
    out = commands.add_parser("release", help="make the project's DAGs the current release")
    out.add_argument("--to", required=True, metavar="URI", help="s3://bucket/prefix, or a folder")
    out.add_argument("--project", type=Path, default=Path(), metavar="FOLDER", help="holds dags/, plugins/, include/")
    out.set_defaults(run=run_release)
    back = commands.add_parser("fetch", help="fetch the current release and point INTO/current at it")
    back.add_argument("--from", required=True, dest="source", metavar="URI", help="s3://bucket/prefix, or a folder")
    back.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="holds one folder per release")
    back.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="at most this long for a first release")
    back.set_defaults(run=run_fetch)
    return parser


def run_release(asked: argparse.Namespace) -> None:
    made = release(asked.project, open_place(asked.to), commit_of(asked.project))
    state = "is now current" if made.moved else "was current already"
    print(
        f"Release {made.sha:.12} of commit {made.commit} {state} in {asked.to}: "
        f"{made.files} files, {made.bytes / 1000:.0f} kB, {made.uploaded} uploaded."
    )


def run_fetch(asked: argparse.Namespace) -> None:
    place = open_place(asked.source)
    sha = first(place, asked.wait)
    fetch(place, asked.into, sha)
    print(f"Release {sha:.12} of {asked.source} is in {switch(asked.into, sha)}.")


def first(place: Place, seconds: float) -> str:
    """The current release; for so long, its absence or that of the place is taken for a start that is not over yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return current(place)
        except (NoRelease, PlaceUnavailable):
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


if __name__ == "__main__":
    sys.exit(main())
