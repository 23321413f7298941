"""`python -m local stack`: the whole system in containers, under docker compose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

stack = typer.Typer(help="The whole system in containers, under docker compose.", no_args_is_help=True)
EnvFile = Annotated[Path, typer.Option("--env-file", help="File of ports and passwords; the first `up` writes it.")]
DEFAULT_ENV_FILE = Path(".env")


@stack.command()
def up(
    reviews: Annotated[str, typer.Option(help="Source of the reviews: a file, or a form of docs/sources.md.")] = "",
    profile: Annotated[list[str] | None, typer.Option(help="serving or dashboard; may be given twice.")] = None,
    development: Annotated[
        bool, typer.Option("--development", help="Let Airflow read the working tree instead of a release.")
    ] = False,
    env_file: EnvFile = DEFAULT_ENV_FILE,
) -> None:
    """Build the images, start everything, release the DAGs, and print addresses and logins."""
    from local.compose.compose import DEVELOPMENT
    from local.compose.up import up as start

    overlays = [DEVELOPMENT] if development else []
    compose = start(env_file.resolve(), {}, reviews, profiles=profile or (), overlays=overlays)
    typer.echo(compose.env.summary(profile or ()))


@stack.command()
def down(
    delete_data: Annotated[bool, typer.Option("--delete-data", help="Delete the data and .env too.")] = False,
    env_file: EnvFile = DEFAULT_ENV_FILE,
) -> None:
    """Stop and remove every container. The data stay."""
    from local.compose.up import down as stop

    stop(env_file.resolve(), delete_data=delete_data)


@stack.command()
def deploy(env_file: EnvFile = DEFAULT_ENV_FILE) -> None:
    """Release `dags`, `plugins` and `include` to the stack's bucket; Airflow follows within seconds."""
    from local.compose.env_file import Env
    from local.compose.up import deploy as release

    made = release(Env.read(env_file.resolve()))
    typer.echo(
        f"Release {made.sha:.12} of commit {made.commit} {'is now' if made.pointer_moved else 'was already'} current: "
        f"{made.files} files, {made.uploaded} uploaded. Airflow loads plugins and the deadline callback when it "
        "starts: run `make up` to restart the containers that use them."
    )


@stack.command()
def run(
    weeks: Annotated[int, typer.Option(min=1, max=52, help="Number of logical weeks.")] = 10,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="Wait for a person's approval each week.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("var/stack"),
    env_file: EnvFile = DEFAULT_ENV_FILE,
) -> None:
    """Trigger the weeks through Airflow's REST API, show their progress, and write a report."""
    from local.compose.env_file import Env
    from local.compose.weeks import run as run_weeks

    raise typer.Exit(run_weeks(Env.read(env_file.resolve()), weeks, {"require_approval": require_approval}, output))


@stack.command()
def logs(
    service: Annotated[list[str] | None, typer.Argument(help="Names of services; none means all.")] = None,
    env_file: EnvFile = DEFAULT_ENV_FILE,
) -> None:
    """Follow the logs of the containers until Ctrl-C."""
    from local.compose.compose import PROFILES, Compose, check_docker
    from local.compose.env_file import Env

    check_docker()
    Compose(Env.read(env_file.resolve()), PROFILES).follow("logs", "--follow", "--tail", "100", *(service or ()))


@stack.command()
def doctor(env_file: EnvFile = DEFAULT_ENV_FILE) -> None:
    """Check every container and what runs in it, and print what to do about each failure."""
    from rich.console import Console

    from local.compose.doctor import findings
    from local.compose.env_file import Env
    from ratchet.cli.doctor import table_of

    found = list(findings(Env.read(env_file.resolve())))
    Console().print(table_of(found))
    raise typer.Exit(int(not all(finding.ok for finding in found)))
