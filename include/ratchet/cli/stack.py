"""The whole system in containers: `ratchet stack up`, `run`, `deploy`, `doctor`, `down`. The Makefile has them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ratchet.settings import Settings

stack = typer.Typer(help="The whole system in containers, under docker compose.", no_args_is_help=True)
EnvFile = Annotated[Path, typer.Option("--env-file", help="Ports and passwords; made by the first `up`.")]
HERE = Path(".env")


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    app.add_typer(stack, name="stack", rich_help_panel="On this machine")


@stack.command()
def up(
    reviews: Annotated[str, typer.Option(help="Where reviews come from: a file, or as in docs/sources.md.")] = "",
    profile: Annotated[list[str] | None, typer.Option(help="serving, dashboard; may be given twice.")] = None,
    development: Annotated[bool, typer.Option("--development", help="Mount the working tree, no release.")] = False,
    env_file: EnvFile = HERE,
) -> None:
    """Build the images, start everything, release the DAGs, and say where it all is."""
    from local.compose.compose import DEVELOPMENT
    from local.compose.up import up as start

    overlays = [DEVELOPMENT] if development else []
    compose = start(env_file.resolve(), {}, reviews, profiles=profile or (), overlays=overlays)
    typer.echo(compose.env.welcome(profile or ()))


@stack.command()
def down(
    forget: Annotated[bool, typer.Option("--forget", help="Delete the data and .env as well.")] = False,
    env_file: EnvFile = HERE,
) -> None:
    """Stop and remove every container. The data stay."""
    from local.compose.up import down as stop

    stop(env_file.resolve(), forget=forget)


@stack.command()
def deploy(env_file: EnvFile = HERE) -> None:
    """Release `dags`, `plugins` and `include` to the stack's bucket; Airflow follows within seconds."""
    from local.compose.env_file import Env
    from local.compose.up import deploy as release

    made = release(Env.read(env_file.resolve()))
    typer.echo(
        f"Release {made.sha:.12} of commit {made.commit} {'is now' if made.moved else 'was already'} current: "
        f"{made.files} files, {made.uploaded} uploaded. Plugins and the deadline's callback are read at the start: "
        "`make up` restarts what holds them."
    )


@stack.command()
def run(
    weeks: Annotated[int, typer.Option(min=1, max=52, help="How many logical weeks.")] = 10,
    require_approval: Annotated[bool, typer.Option("--require-approval", help="Wait for a person each week.")] = False,
    output: Annotated[Path, typer.Option(help="Where the report is written.")] = Path("var/stack"),
    env_file: EnvFile = HERE,
) -> None:
    """Trigger the weeks through Airflow's REST API, follow them, and report."""
    from local.compose.env_file import Env
    from local.compose.weeks import run as follow

    raise typer.Exit(follow(Env.read(env_file.resolve()), weeks, {"require_approval": require_approval}, output))


@stack.command()
def logs(
    service: Annotated[list[str] | None, typer.Argument(help="Which containers; all, if none is named.")] = None,
    env_file: EnvFile = HERE,
) -> None:
    """What the containers print, followed until Ctrl-C."""
    from local.compose.compose import PROFILES, Compose, check
    from local.compose.env_file import Env

    check()
    Compose(Env.read(env_file.resolve()), PROFILES).follow("logs", "--follow", "--tail", "100", *(service or ()))


@stack.command()
def doctor(env_file: EnvFile = HERE) -> None:
    """Which containers are up, what is wrong with what they hold, and what to do."""
    from local.compose.doctor import findings
    from local.compose.env_file import Env
    from ratchet.cli.doctor import table_of

    found = list(findings(Env.read(env_file.resolve())))
    Console().print(table_of(found))
    raise typer.Exit(int(not all(finding.ok for finding in found)))
