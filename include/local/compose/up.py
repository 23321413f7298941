"""Start the stack and stop it. Both may be repeated: what is up stays up, what is gone stays gone."""

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
from local.compose.compose import DEVELOPMENT, PROFILES, PROJECT, Compose, check
from local.compose.env_file import PORTS, Env, engine_group
from local.environment import applied
from local.processes.children import is_free
from local.processes.services import code_version
from ratchet.errors import ConfigurationError, ServiceUnavailable
from ratchet.jobs.storage import open_storage

FIRST = ("postgres", "aws", "mlflow")
RELEASES = "s3://ratchet/dags"
READ_AT_START = ("airflow-api-server", "airflow-triggerer")
"""What takes plugins and callbacks from the release that is current when it starts."""
WAIT = ("--wait", "--wait-timeout", "300")


def up(
    path: Path,
    settings: Mapping[str, str],
    reviews: str = "",
    *,
    profiles: Sequence[str] = (),
    overlays: Sequence[Path] = (),
) -> Compose:
    """Build the images, start everything in order, release the DAGs, and return when all of it is healthy.

    `settings` go into `.env`, beside what is there. Raises ConfigurationError without an engine, or where the data of
    an earlier stack are there but the `.env` with their passwords is not.
    """
    check()
    archive = _archive(reviews)
    if not path.exists():
        _no_orphans(settings.get("RATCHET_PROJECT", "ratchet"))
    facts = {"DOCKER_GID": engine_group(), "CODE_VERSION": code_version()}
    compose = Compose(Env.made(path, {**facts, **settings}), profiles, overlays)
    running = compose.ask("ps", "--quiet").split()
    if not running:
        _ports_are_free(compose.env)
    compose.run("build")
    compose.run("up", "--detach", *WAIT, *FIRST)
    compose.run("run", "--rm", "--no-deps", "provision")
    if reviews:
        source = _brought(compose.env, archive, reviews) if archive else reviews
        compose = replace(compose, env=Env.made(path, {"SOURCE": source}))
    moved = DEVELOPMENT not in overlays and deploy(compose.env).pointer_moved
    if running and moved:
        compose.run("stop", *READ_AT_START)
    compose.run("up", "--detach", *WAIT)
    return compose


def deploy(env: Env, project: Path = PROJECT) -> Release:
    """Release this project's `dags`, `plugins` and `include` to the stack's bucket.

    Raises ServiceUnavailable if the bucket does not answer, ConfigurationError for a project that is none.
    """
    try:
        with applied(env.around):
            return release(project, open_store(RELEASES), commit_of(project))
    except StoreUnavailable as error:
        raise ServiceUnavailable(f"{error} Is the stack up? `make doctor`.") from error
    except ReleaseError as error:
        raise ConfigurationError(str(error)) from error


def down(path: Path, *, forget: bool = False, overlays: Sequence[Path] = ()) -> None:
    """Stop and remove every container, the jobs' too. The data stay, unless they are to be forgotten with `.env`."""
    check()
    compose = Compose(Env.read(path), PROFILES, overlays)
    compose.run("stop", "--timeout", "30")
    jobs = _docker(
        "ps", "--all", "--quiet", "--filter", f"network={compose.name}_default", "--filter", "label=ministack"
    )
    if jobs:
        subprocess.run(["docker", "rm", "--force", *jobs], capture_output=True)  # one may be gone by now
    compose.run("down", "--remove-orphans", *(["--volumes"] if forget else []))
    if forget:
        path.unlink()


def _archive(reviews: str) -> Path | None:
    """The file of this machine that was meant, if one was. Raises ConfigurationError for what no container could read.

    S3, as containers see it, is the stand-in, and they have no Kaggle account.
    """
    if reviews.startswith(("s3://", "kaggle:")):
        raise ConfigurationError(f"The stack has no way to {reviews}. Download it and give the file: REVIEWS=path.")
    if len(urlsplit(reviews).scheme) > 1 or not reviews:
        return None
    path = Path(reviews.partition("#")[0]).expanduser()
    if not path.is_file():
        raise ConfigurationError(f"REVIEWS: {path} is no file. The stack takes one file, such as Kaggle's archive.")
    return path


def _brought(env: Env, archive: Path, reviews: str) -> str:
    """Put a file of this machine into the stack's bucket, under its digest; returns its URI, with its pin."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    key = f"source/{digest[:12]}/{archive.name}"
    with applied(env.around):
        storage = open_storage("s3://ratchet")
        storage.upload(archive, key)
    return f"{storage.uri}/{key}{''.join(reviews.partition('#')[1:])}"


def _ports_are_free(env: Env) -> None:
    taken = [f"{name}={env[name]}" for name in PORTS if not is_free(int(env[name]))]
    if taken:
        raise ConfigurationError(
            f"Another program listens on {', '.join(taken)}: choose other ports in {env.path.name}."
        )


def _no_orphans(project: str) -> None:
    left = _docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}")
    if left:
        raise ConfigurationError(
            f"The volumes {', '.join(left)} hold an earlier stack, but the .env with its passwords is gone. Bring it "
            f"back, or give the data up: docker compose --project-name {project} down --volumes"
        )


def _docker(*words: str) -> list[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.split()
