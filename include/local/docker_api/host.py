"""The images and the containers of this server."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.docker_api.container import Container
from local.docker_api.images import Image, tagged
from local.docker_api.process_guard import ProcessGuard


class ApiError(Exception):
    """A request that Docker would refuse, or that this server does not support; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Host:
    """Images and containers; logs and working folders are under the folder `state`.

    Every method that looks something up raises ApiError if it does not exist.
    """

    def __init__(self, images: Mapping[str, Image], state: Path, guard: ProcessGuard) -> None:
        self._images, self._state, self._guard = images, state, guard
        self._containers: dict[str, Container] = {}

    def image(self, name: str) -> Image:
        """The image of this name. Raises ApiError (404)."""
        if image := self._images.get(tagged(name)):
            return image
        raise ApiError(404, f"No such image: {name}; this engine has {', '.join(sorted(self._images))}")

    def container(self, wanted: str) -> Container:
        """The container with this id, beginning of an id, or name. Raises ApiError (404)."""
        for container in self._containers.values():
            if container.name == wanted or container.id.startswith(wanted):
                return container
        raise ApiError(404, f"No such container: {wanted}")

    def containers(self, labels: set[str]) -> list[Container]:
        """The containers that have all of these labels, each given as ``key`` or ``key=value``."""
        return [
            container
            for container in self._containers.values()
            if labels <= {*container.labels, *map("=".join, container.labels.items())}
        ]

    def create(self, name: str | None, config: Mapping[str, Any]) -> Container:
        """Create a container; ``config`` is the body of Docker's request.

        Raises ApiError for an unknown image (404), a name in use (409), and a bind mount (501).
        """
        image, host = self.image(config["Image"]), config.get("HostConfig") or {}
        if host.get("Binds"):
            raise ApiError(501, f"A process sees the host's own files: cannot bind {host['Binds']}")
        if any(container.name == name for container in self._containers.values()):
            raise ApiError(409, f"Conflict. The container name {name} is already in use")
        env = {**image.env, **dict(pair.split("=", 1) for pair in config.get("Env") or [])}
        # A process has no hosts file of its own, so the names in ExtraHosts are replaced in its environment.
        for extra in host.get("ExtraHosts") or []:
            hostname, address = extra.split(":", 1)
            address = "127.0.0.1" if address == "host-gateway" else address
            env = {key: value.replace(hostname, address) for key, value in env.items()}
        id_ = secrets.token_hex(32)
        self._containers[id_] = Container(
            id=id_,
            name=name or id_[:12],
            image=config["Image"],
            command=[*(config.get("Entrypoint") or image.entrypoint), *(config.get("Cmd") or [])],
            env=env,
            labels=config.get("Labels") or {},
            home=self._state / "containers" / id_,
        )
        return self._containers[id_]

    def start(self, container: Container) -> None:
        """Start the container's process. Raises ApiError (400) if its program does not exist."""
        try:
            container.start(self._guard)
        except OSError as error:
            raise ApiError(400, f"Cannot start {container.command[0]}: {error.strerror}") from error

    def remove(self, container: Container) -> None:
        """Remove the container and its files."""
        if self._containers.pop(container.id, None):
            container.delete_files()

    def reap(self) -> None:
        """Collect the exit code of every process that has ended; called at each SIGCHLD."""
        for container in self._containers.values():
            container.reap()
