"""Run weeks in the stack as a person would in the UI, one DAG run after the other, and follow them."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import UTC, datetime
from datetime import time as clock
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from local.compose.airflow import ENDED, Airflow
from local.compose.env_file import Env
from local.environment import applied
from local.progress import WeekRun
from local.report import Report, WeekReport, collect, line, table, write
from ratchet.errors import ServiceUnavailable
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings
from ratchet.windows import WEEK

console = Console()
LOOK_EVERY = 1.0
PARSED_WITHIN = 120.0
"""Seconds in which the DAG processor has read a new release."""


def run(env: Env, weeks: int, params: dict[str, object], output: Path) -> int:
    """Trigger and follow weeks 0 to `weeks` - 1; those that were run before are only shown. Returns the exit code."""
    with applied(env.around):
        settings, began = Settings(), datetime.now(UTC)
        airflow = Airflow.of(env)
        _until_parsed(airflow)
        airflow.unpause()
        finished = _follow(airflow, settings, weeks, params)
        report = Report.of(finished, source=env["SOURCE"], started_at=began, code_version=settings.code_version)
        output.mkdir(parents=True, exist_ok=True)
        write(report, output)
    say(f"[bold]{escape(report.headline)}[/]")
    say(f"In Airflow: {env.urls['airflow']}/dags/review_sentiment  Report: {output / 'report.html'}")
    return int(any(week.action == "failed" for week in finished))


def _follow(airflow: Airflow, settings: Settings, weeks: int, params: dict[str, object]) -> list[WeekReport]:
    storage, ledger = open_storage(settings.store), Ledger(settings.ledger_url, settings.registered_model)
    first = datetime.combine(settings.first_week, clock(), UTC)
    ended: list[WeekRun] = []
    finished: list[WeekReport] = []
    with Live(table([], "starting"), console=console) if console.is_terminal else nullcontext() as live:
        for number in range(weeks):
            date = first + number * WEEK
            run_id = f"week_{number}__{date:%Y-%m-%d}"
            airflow.trigger(run_id, date, params)
            while (week := airflow.week(number, run_id)).state not in ENDED:
                if live:
                    live.update(table(finished, f"week {number}: {week.running or 'between tasks'}"))
                time.sleep(LOOK_EVERY)
            ended.append(week)
            finished = collect(storage, ledger, ended)
            if live:
                live.update(table(finished, None))
            else:
                say(escape(line(finished[-1])))
            if week.state == "failed":
                break
    return finished


def _until_parsed(airflow: Airflow) -> None:
    """Raises ServiceUnavailable, with the DAG's import errors, if Airflow does not come to know the DAG."""
    deadline = time.monotonic() + PARSED_WITHIN
    while not airflow.knows_the_dag():
        if time.monotonic() > deadline:
            errors = airflow.call("GET", "/api/v2/importErrors")["import_errors"]
            why = "; ".join(error["stack_trace"].strip().splitlines()[-1] for error in errors) or "no import error"
            raise ServiceUnavailable(f"Airflow does not know the DAG after {PARSED_WITHIN:.0f} s ({why}). `make logs`.")
        time.sleep(LOOK_EVERY)


def say(words: str) -> None:
    console.print(words, soft_wrap=True, highlight=False)
