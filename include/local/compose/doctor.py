"""Check the stack: each container as Docker reports it, then each part as `ratchet doctor` checks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from local.compose.compose import PROFILES, Compose, check_docker
from local.compose.env_file import Env
from local.environment import replaced_environment
from ratchet.cli.doctor import Finding, examine
from ratchet.settings import Settings

RUN_ONCE = {"provision", "airflow-migrate"}
"""Services that are healthy when their container has exited with code 0."""


def findings(env: Env) -> Iterator[Finding]:
    """One finding for each container and for each part. Raises ConfigurationError without a Docker engine."""
    check_docker()
    compose = Compose(env, PROFILES)
    containers = [json.loads(text) for text in compose.output("ps", "--all", "--format", "json").splitlines()]
    if not containers:
        yield Finding(False, "stack", "it has no container", "Start it with `make up`.")
        return
    for container in containers:
        yield _container(container)
    services = {*Compose(env).output("config", "--services").split()}
    for name in sorted(services - {container["Service"] for container in containers}):
        yield Finding(False, name, "it has no container", "Run `make up` again to start it.")
    with replaced_environment(env.client_environment):
        yield from examine(Settings())


def _container(container: dict[str, Any]) -> Finding:
    name, status = container["Service"], container["Status"]
    if name in RUN_ONCE:
        ok = container["State"] == "exited" and container["ExitCode"] == 0
    else:
        ok = container["State"] == "running" and container["Health"] in {"healthy", ""}
    return Finding(ok, name, status, "" if ok else f"Read `make logs SERVICE={name}`; then run `make up` again.")
