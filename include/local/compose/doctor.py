"""What of the stack is up: each container as Docker sees it, then each part as `ratchet doctor` does."""

from __future__ import annotations

import json
from collections.abc import Iterator

from local.compose.compose import PROFILES, Compose, check
from local.compose.env_file import Env
from local.environment import applied
from ratchet.cli.doctor import Finding, examine
from ratchet.settings import Settings

ONCE = {"provision", "airflow-migrate"}
"""Containers that are well when they have ended well."""


def findings(env: Env) -> Iterator[Finding]:
    check()
    compose = Compose(env, PROFILES)
    seen = [json.loads(text) for text in compose.ask("ps", "--all", "--format", "json").splitlines()]
    if not seen:
        yield Finding(False, "stack", "no container is there", "Start it with `make up`.")
        return
    for container in seen:
        yield _container(container)
    for name in {*Compose(env).ask("config", "--services").split()} - {container["Service"] for container in seen}:
        yield Finding(False, name, "there is no such container", "`make up` again starts it.")
    with applied(env.around):
        yield from examine(Settings())


def _container(seen: dict) -> Finding:
    name, says = seen["Service"], seen["Status"]
    if name in ONCE:
        well = seen["State"] == "exited" and seen["ExitCode"] == 0
    else:
        well = seen["State"] == "running" and seen["Health"] in {"healthy", ""}
    return Finding(well, name, says, "" if well else f"`docker compose logs {name}` says why; then `make up` again.")
