"""A container as JSON: the fields that ministack and the docker SDK read."""

from __future__ import annotations

from typing import Any

from local.docker_api.container import Container
from local.docker_api.logs import timestamp


def inspect_view(container: Container) -> dict[str, Any]:
    """The fields of ``docker inspect``, and one more: ``State.PeakMemoryBytes``.

    That is the kernel's ``ru_maxrss``: the peak of the largest process, not the sum over processes, and never less than
    this server's own size (about 40 MB), because a fork begins as a copy of it.
    """
    return {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Image": container.image,
        "Created": timestamp(container.created),
        "State": {
            "Status": container.status,
            "Running": container.status == "running",
            "ExitCode": container.exit_code,
            "OOMKilled": False,
            "StartedAt": timestamp(container.started),
            "FinishedAt": timestamp(container.finished),
            "PeakMemoryBytes": container.peak_memory,
        },
        "Config": {
            "Image": container.image,
            "Env": [f"{key}={value}" for key, value in container.env.items()],
            "Labels": container.labels,
            "Tty": False,
        },
        "HostConfig": {"LogConfig": {"Type": "json-file"}},
        "NetworkSettings": {"Networks": {"host": {"IPAddress": "127.0.0.1"}}},
    }


def list_view(container: Container) -> dict[str, Any]:
    """The fields of a row of ``docker ps``."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "Created": int(container.created.timestamp()),
        "State": container.status,
        "Labels": container.labels,
    }
