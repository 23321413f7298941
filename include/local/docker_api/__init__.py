"""A Docker Engine without Docker: the part of its HTTP API that ministack needs to run ECS tasks.

A container is a local process group, and an image is the command that starts it: a program that is already
on this machine. Nothing is isolated but the environment, the working folder and the output.
Start it with ``python -m local.docker_api``, or as a child process with :func:`running`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.docker_api.images import Image, dump

__all__ = ["Image", "running"]


@contextmanager
def running(
    socket: Path, state: Path, images: Mapping[str, Image], adopt: Callable[[int], None] = lambda group: None
) -> Iterator[str]:
    """Runs an engine beside this process and yields its ``DOCKER_HOST``; no container outlives the block.

    ``adopt`` is told its process group, for whoever ends it should this process be killed.
    """
    state.mkdir(parents=True, exist_ok=True)
    catalogue = state / "images.json"
    catalogue.write_text(dump(images))
    options = [f"--socket={socket}", f"--state={state}", f"--images={catalogue}"]
    command = [sys.executable, "-m", __name__, *options]
    sources = str(Path(__file__).parents[2])  # the child must find this package however we found it
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([sources, os.environ.get("PYTHONPATH", "")])}
    # In a session of its own: Ctrl-C reaches this process alone, which then ends everything in order.
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        try:
            adopt(child.pid)
            address = child.stdout.readline().strip() if child.stdout else ""
            if not address:
                raise RuntimeError(f"the engine ended with code {child.wait()}; stderr has its reason")
            yield address
        finally:
            child.terminate()
