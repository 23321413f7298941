"""``python -m local.docker_api --socket PATH --state FOLDER --images FILE``: serve until told to stop."""

from __future__ import annotations

import argparse
import socket
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

from local.docker_api.api import application
from local.docker_api.host import Host
from local.docker_api.images import load
from local.docker_api.lifeline import Lifeline

# As good as for ever, like Docker: a connection closed just as its client speaks would fail an ECS task.
KEEP_ALIVE_SECONDS = 86_400


class Server(uvicorn.Server):
    """Ends the containers before the connections: a client that follows a log would keep the server up."""

    def __init__(self, config: uvicorn.Config, lifeline: Lifeline) -> None:
        super().__init__(config)
        self._lifeline = lifeline

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._lifeline.cut()
        super().handle_exit(sig, frame)


def listen(path: Path) -> socket.socket:
    """Open to this user only: who may connect may run programs. A path has prefix for about 100 bytes."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise SystemExit(f"another engine serves {path}: stop it, or choose another --socket")
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    return server


def main() -> None:
    parser = argparse.ArgumentParser("python -m local.docker_api", description="Docker's API for processes.")
    parser.add_argument("--socket", type=Path, required=True, help="the unix socket to serve on")
    parser.add_argument("--state", type=Path, required=True, help="the folder for logs and working folders")
    parser.add_argument("--images", type=Path, required=True, help='{"A:TAG": {"entrypoint": [], "env": {}}}')
    options = parser.parse_args()
    with listen(options.socket) as server:
        lifeline = Lifeline()
        host = Host(load(options.images.read_text()), options.state.resolve(), lifeline)
        config = uvicorn.Config(
            application(host),
            loop="asyncio",  # uvloop takes SIGCHLD for itself
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,  # for a client that follows a container which never started
        )
        print(f"unix://{options.socket.resolve()}", flush=True)
        with suppress(KeyboardInterrupt):
            Server(config, lifeline).run(sockets=[server])


if __name__ == "__main__":
    main()
