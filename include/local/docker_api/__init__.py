"""The part of the Docker Engine's HTTP API that ministack needs to run ECS tasks, without Docker.

A container is a local process group, and an image is the command that starts it: a program that is already
on this machine. Only the environment, the working folder and the output are separate; nothing else is isolated.
Start the server with ``python -m local.docker_api``, or as a child process with :func:`running`.
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
    socket: Path, state: Path, images: Mapping[str, Image], register: Callable[[int], None] = lambda _: None
) -> Iterator[str]:
    """Run the server beside this process and yield its ``DOCKER_HOST``; no container outlives the block.

    ``register`` is called with the server's process group, so that the caller can end it if this process is killed.
    Raises RuntimeError if the server does not start.
    """
    state.mkdir(parents=True, exist_ok=True)
    catalogue = state / "images.json"
    catalogue.write_text(dump(images))
    options = [f"--socket={socket}", f"--state={state}", f"--images={catalogue}"]
    command = [sys.executable, "-m", __name__, *options]
    include = str(Path(__file__).parents[2])  # the child must find this package, however this process found it
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([include, os.environ.get("PYTHONPATH", "")])}
    # In a session of its own: Ctrl-C reaches only this process, which then stops everything in order.
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        try:
            register(child.pid)
            address = child.stdout.readline().strip() if child.stdout else ""
            if not address:
                raise RuntimeError(f"the Docker API server ended with code {child.wait()}; stderr has the reason")
            yield address
        finally:
            child.terminate()
