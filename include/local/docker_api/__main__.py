"""``python -m local.docker_api --socket PATH --state FOLDER --images FILE``: serve until a signal stops it."""

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
from local.docker_api.process_guard import ProcessGuard

# A day. Docker never closes an idle connection; if this server closed one just as the client sends a request, an ECS
# task would fail.
KEEP_ALIVE_SECONDS = 86_400


class Server(uvicorn.Server):
    """Kills the containers before it closes connections, because a client that follows a log keeps the server up."""

    def __init__(self, config: uvicorn.Config, guard: ProcessGuard) -> None:
        super().__init__(config)
        self._guard = guard

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Kill all containers, then exit as uvicorn does."""
        self._guard.kill_all()
        super().handle_exit(sig, frame)


def listen(path: Path) -> socket.socket:
    """Listen on the unix socket `path`, of about 100 bytes at most.

    Only this user may connect, because a client may run programs. Raises SystemExit if another server listens there.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise SystemExit(f"Another server listens on {path}: stop it, or choose another --socket.")
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    return server


def main() -> None:
    """Read the options, print the address as DOCKER_HOST wants it, and serve."""
    parser = argparse.ArgumentParser("python -m local.docker_api", description="Docker's API for processes.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to serve on")
    parser.add_argument("--state", type=Path, required=True, help="folder for logs and working folders")
    parser.add_argument("--images", type=Path, required=True, help='{"A:TAG": {"entrypoint": [], "env": {}}}')
    options = parser.parse_args()
    with listen(options.socket) as server:
        guard = ProcessGuard()
        host = Host(load(options.images.read_text()), options.state.resolve(), guard)
        config = uvicorn.Config(
            application(host),
            loop="asyncio",  # uvloop handles SIGCHLD itself
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,  # for a client that follows the log of a container that never started
        )
        print(f"unix://{options.socket.resolve()}", flush=True)
        with suppress(KeyboardInterrupt):
            Server(config, guard).run(sockets=[server])


if __name__ == "__main__":
    main()
