"""Start, release and stop the stack. Each may be repeated: containers that run are kept."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from dag_bundle.errors import ReleaseError, StoreUnavailable
from dag_bundle.object_store import open_store
from dag_bundle.release import Release, commit_of, release
from local.compose.compose import DEVELOPMENT, PROFILES, PROJECT, Compose, check_docker
from local.compose.env_file import PORTS, Env, docker_group
from local.environment import replaced_environment
from local.processes.children import is_free
from local.processes.services import code_version
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.jobs.storage import open_storage

FIRST = ("postgres", "aws", "mlflow")
RELEASES = "s3://ratchet/dags"
LOAD_AT_START = ("airflow-api-server", "airflow-triggerer")
"""Services that load plugins and callbacks from the current release when they start."""
WAIT = ("--wait", "--wait-timeout", "300")


def up(
    path: Path,
    settings: Mapping[str, str],
    reviews: str = "",
    *,
    profiles: Sequence[str] = (),
    overlays: Sequence[Path] = (),
) -> Compose:
    """Build the images, start everything in order, release the DAGs, and return when all services are healthy.

    `settings` are written into the `.env` at `path`. Raises ConfigurationError without a Docker engine, or if the data
    of an earlier stack exist but the `.env` with their passwords does not.
    """
    check_docker()
    archive = _archive(reviews)
    if not path.exists():
        _check_no_earlier_volumes(settings.get("RATCHET_PROJECT", "ratchet"))
    detected = {"DOCKER_GID": docker_group(), "CODE_VERSION": code_version()}
    compose = Compose(Env.update(path, {**detected, **settings}), profiles, overlays)
    running = compose.output("ps", "--quiet").split()
    if not running:
        _check_ports_are_free(compose.env)
    compose.run("build")
    compose.run("up", "--detach", *WAIT, *FIRST)
    compose.run("run", "--rm", "--no-deps", "provision")
    if reviews:
        source = _upload(compose.env, archive, reviews) if archive else reviews
        compose = replace(compose, env=Env.update(path, {"SOURCE": source}))
    moved = DEVELOPMENT not in overlays and deploy(compose.env).pointer_moved
    if running and moved:
        compose.run("stop", *LOAD_AT_START)
    compose.run("up", "--detach", *WAIT)
    return compose


def deploy(env: Env, project: Path = PROJECT) -> Release:
    """Release the `dags`, `plugins` and `include` of `project` to the stack's bucket.

    Raises ServiceUnavailable if the bucket does not respond, ConfigurationError if `project` lacks one of the folders.
    """
    try:
        with replaced_environment(env.client_environment):
            return release(project, open_store(RELEASES), commit_of(project))
    except StoreUnavailable as error:
        raise ServiceUnavailable(f"{error} Run `make doctor` to see whether the stack is up.") from error
    except ReleaseError as error:
        raise ConfigurationError(str(error)) from error


def down(path: Path, *, delete_data: bool = False, overlays: Sequence[Path] = ()) -> None:
    """Stop and remove every container, including those of jobs; with `delete_data` also the volumes and `.env`."""
    check_docker()
    compose = Compose(Env.read(path), PROFILES, overlays)
    compose.run("stop", "--timeout", "30")
    jobs = _docker(
        "ps", "--all", "--quiet", "--filter", f"network={compose.name}_default", "--filter", "label=ministack"
    )
    if jobs:
        _docker("rm", "--force", *jobs, check=False)  # a job may have ended, and its container be gone, since `ps`
    compose.run("down", "--remove-orphans", *(["--volumes"] if delete_data else []))
    if delete_data:
        path.unlink()


def _archive(reviews: str) -> Path | None:
    """The local file that `reviews` names; None if it names another kind of source.

    Raises ConfigurationError for a source that no container can read: their S3 is the emulator's, and they have no
    Kaggle account.
    """
    if reviews.startswith(("s3://", "kaggle:")):
        raise ConfigurationError(f"The stack cannot read {reviews}. Download it and pass the file: REVIEWS=path.")
    if len(urlsplit(reviews).scheme) > 1 or not reviews:
        return None
    path = Path(reviews.partition("#")[0]).expanduser()
    if not path.is_file():
        raise ConfigurationError(f"REVIEWS: {path} is not a file. The stack takes one file, such as Kaggle's archive.")
    return path


def _upload(env: Env, archive: Path, reviews: str) -> str:
    """Upload a local file to the stack's bucket, under its SHA-256; returns its URI with the pin of `reviews`."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    key = f"source/{digest[:12]}/{archive.name}"
    with replaced_environment(env.client_environment):
        storage = open_storage("s3://ratchet")
        storage.upload(archive, key)
    return f"{storage.uri}/{key}{''.join(reviews.partition('#')[1:])}"


def _check_ports_are_free(env: Env) -> None:
    used = [f"{name}={env[name]}" for name in PORTS if not is_free(int(env[name]))]
    if used:
        raise ConfigurationError(
            f"Another program listens on {', '.join(used)}: choose other ports in {env.path.name}."
        )


def _check_no_earlier_volumes(project: str) -> None:
    volumes = _docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}")
    if volumes:
        raise ConfigurationError(
            f"The volumes {', '.join(volumes)} contain an earlier stack, but the .env with its passwords is missing. "
            f"Restore it, or delete the data: docker compose --project-name {project} down --volumes"
        )


def _docker(*words: str, check: bool = True) -> list[str]:
    """The words that a docker command prints."""
    command = ["docker", *words]
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout.split()
