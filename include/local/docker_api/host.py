"""The host: which images there are, and which containers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.docker_api.container import Container
from local.docker_api.images import Image, tagged
from local.docker_api.lifeline import Lifeline


class Refusal(Exception):
    """What Docker would refuse, or this engine cannot do; with the HTTP status that says which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Host:
    """Every method that looks for something raises Refusal when it is not there."""

    def __init__(self, images: Mapping[str, Image], state: Path, lifeline: Lifeline) -> None:
        self._images, self._state, self._lifeline = images, state, lifeline
        self._containers: dict[str, Container] = {}

    def image(self, name: str) -> Image:
        if image := self._images.get(tagged(name)):
            return image
        raise Refusal(404, f"No such image: {name}; this engine has {', '.join(sorted(self._images))}")

    def container(self, wanted: str) -> Container:
        """Found by its id, the beginning of it, or its name."""
        for container in self._containers.values():
            if container.name == wanted or container.id.startswith(wanted):
                return container
        raise Refusal(404, f"No such container: {wanted}")

    def containers(self, labels: set[str]) -> list[Container]:
        """Those that carry every one of these labels, each given as ``key`` or ``key=value``."""
        return [
            container
            for container in self._containers.values()
            if labels <= {*container.labels, *map("=".join, container.labels.items())}
        ]

    def create(self, name: str | None, config: Mapping[str, Any]) -> Container:
        """``config`` is the body of Docker's request."""
        image, host = self.image(config["Image"]), config.get("HostConfig") or {}
        if host.get("Binds"):
            raise Refusal(501, f"A process sees the host's own files: cannot bind {host['Binds']}")
        if any(container.name == name for container in self._containers.values()):
            raise Refusal(409, f"Conflict. The container name {name} is already in use")
        env = {**image.env, **dict(pair.split("=", 1) for pair in config.get("Env") or [])}
        # A process has no hosts file of its own, so the names meant for it are resolved in its environment.
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
        try:
            container.start(self._lifeline)
        except OSError as error:
            raise Refusal(400, f"Cannot start {container.command[0]}: {error.strerror}") from error

    def remove(self, container: Container) -> None:
        if self._containers.pop(container.id, None):
            container.discard()

    def reap(self) -> None:
        for container in self._containers.values():
            container.reap()
