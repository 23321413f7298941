"""Run weeks in the stack through Airflow's REST API, one DAG run after the other, and show their progress."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from datetime import time as clock
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from local.compose.airflow import ENDED, Airflow
from local.compose.env_file import Env
from local.environment import replaced_environment
from local.progress import WeekRun
from local.report import Report, WeekReport, collect, week_line, weeks_table, write
from ratchet.errors import ServiceUnavailable
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings
from ratchet.windows import WEEK

console = Console()
POLL_SECONDS = 1.0
PARSING_SECONDS = 120.0
"""Seconds within which the DAG processor parses a new release."""


def run(env: Env, weeks: int, params: dict[str, Any], output: Path) -> int:
    """Trigger weeks 0 to `weeks` - 1, wait for each, and write a report into the folder `output`.

    Weeks that were run before are only reported. Returns the exit code: 1 if a week failed. Raises ServiceUnavailable
    if Airflow does not respond, or does not parse the DAG.
    """
    with replaced_environment(env.client_environment):
        settings, started_at = Settings(), datetime.now(UTC)
        airflow = Airflow.of(env)
        _wait_until_parsed(airflow)
        airflow.unpause()
        finished = _run_weeks(airflow, settings, weeks, params)
        report = Report.of(finished, source=env["SOURCE"], started_at=started_at, code_version=settings.code_version)
        output.mkdir(parents=True, exist_ok=True)
        write(report, output)
    print_line(f"[bold]{escape(report.headline)}[/]")
    print_line(f"In Airflow: {env.urls['airflow']}/dags/review_sentiment  Report: {output / 'report.html'}")
    return int(any(week.action == "failed" for week in finished))


def _run_weeks(airflow: Airflow, settings: Settings, weeks: int, params: dict[str, Any]) -> list[WeekReport]:
    storage, ledger = open_storage(settings.store), Ledger(settings.ledger_url, settings.registered_model)
    first = datetime.combine(settings.first_week, clock(), UTC)
    ended: list[WeekRun] = []
    finished: list[WeekReport] = []
    with Live(weeks_table([], "starting"), console=console) if console.is_terminal else nullcontext() as live:
        for number in range(weeks):
            date = first + number * WEEK
            run_id = f"week_{number}__{date:%Y-%m-%d}"
            airflow.trigger(run_id, date, params)
            while (week := airflow.week(number, run_id)).state not in ENDED:
                if live:
                    live.update(weeks_table(finished, f"week {number}: {week.running or 'between tasks'}"))
                time.sleep(POLL_SECONDS)
            ended.append(week)
            finished = collect(storage, ledger, ended)
            if live:
                live.update(weeks_table(finished, None))
            else:
                print_line(escape(week_line(finished[-1])))
            if week.state == "failed":
                break
    return finished


def _wait_until_parsed(airflow: Airflow) -> None:
    """Raise ServiceUnavailable, with the DAG's import errors, if Airflow does not parse the DAG in time."""
    deadline = time.monotonic() + PARSING_SECONDS
    while not airflow.has_parsed_dag():
        if time.monotonic() > deadline:
            errors = airflow.call("GET", "/api/v2/importErrors")["import_errors"]
            why = "; ".join(error["stack_trace"].strip().splitlines()[-1] for error in errors) or "no import error"
            raise ServiceUnavailable(
                f"Airflow did not parse the DAG within {PARSING_SECONDS:.0f} s ({why}). Run `make logs` to see why."
            )
        time.sleep(POLL_SECONDS)


def print_line(text: str) -> None:
    """Print one line; the terminal wraps a long one."""
    console.print(text, soft_wrap=True, highlight=False)
