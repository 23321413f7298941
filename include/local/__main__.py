"""`python -m local`: the whole system on this machine, as processes or in containers. The Makefile runs every command.

`demo`, `serve` and `dag-test` start Postgres, an AWS emulator and MLflow as child processes and stop them at the end.
`stack …` runs the containers of docker-compose.yaml.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from local.stack import stack
from ratchet.errors import RatchetError
from ratchet.logs import configure

app = typer.Typer(
    help="The whole system on this machine: as processes, or in containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(stack, name="stack")
Reviews = Annotated[str, typer.Option(help="Source of the reviews; docs/sources.md lists all forms.")]


@app.command()
def demo(
    weeks: Annotated[int, typer.Option(min=1, max=52, help="Number of logical weeks to run.")] = 10,
    reviews: Reviews = "synthetic:",
    output: Annotated[Path, typer.Option(help="Output folder; an earlier run in it is removed.")] = Path("var/demo"),
) -> None:
    """Run the DAG for consecutive weeks against local services, and write a report."""
    from local.demo import run_demo

    raise typer.Exit(run_demo(weeks, reviews, output.resolve()))


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8000,
    output: Annotated[Path, typer.Option(help="Output folder of an earlier `demo`.")] = Path("var/demo"),
) -> None:
    """Start the API with the champion of an earlier `demo` and a newly generated key."""
    from local.processes.serving import serve as run

    raise typer.Exit(run(output.resolve(), port))


@app.command("dag-test")
def dag_test(
    date: Annotated[str, typer.Option(help="Logical date, for example 2026-01-05.")] = "2026-01-05",
    reviews: Reviews = "synthetic:",
    output: Annotated[Path, typer.Option(help="Output folder; an earlier run in it is removed.")] = Path(
        "var/dag-test"
    ),
) -> None:
    """Run `airflow dags test review_sentiment DATE` against local services."""
    from local.demo import run_dag_test

    raise typer.Exit(run_dag_test(date, reviews, output.resolve()))


def exit_on_sigterm(number: int, _frame: object) -> NoReturn:
    """Unwind the stack, so that every context manager ends what it started; the exit code is 143."""
    sys.exit(128 + number)


def main() -> int:
    """Run one command and return its exit code; an error meant for people is printed without a traceback."""
    signal.signal(signal.SIGTERM, exit_on_sigterm)
    configure()
    try:
        app(prog_name="python -m local")
    except RatchetError as error:
        print(f"local: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
