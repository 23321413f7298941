"""The `ratchet` command: one command per job, and those that show, change, use and serve what the jobs made."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import typer

from ratchet.cli import champion, doctor, history, jobs, migrate, model, serve
from ratchet.errors import RatchetError
from ratchet.logs import configure
from ratchet.settings import Settings

app = typer.Typer(
    help="Weekly model retraining that only moves forward.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def settings_for(store: str | None) -> Settings:
    """The settings of the environment, with the store that the command line names."""
    found = Settings()
    return found.model_copy(update={"store": store}) if store else found


for module in (jobs, history, champion, model, serve, doctor, migrate):
    module.add_to(app, settings_for)


def terminated(number: int, _frame: object) -> NoReturn:
    """Stop on SIGTERM as ECS expects: temporary files are removed, the exit code is 143."""
    sys.exit(128 + number)


def run_to_exit_code() -> int:
    """Run the command line and return the exit code; a RatchetError is printed without a traceback."""
    try:
        app()
    except RatchetError as error:
        print(f"ratchet: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> NoReturn:
    """The entry point. It skips the interpreter's shutdown, which costs 0.5 s a job with MLflow and scikit-learn."""
    signal.signal(signal.SIGTERM, terminated)
    configure()
    code = run_to_exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
