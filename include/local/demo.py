"""`make demo` and `make dag-test`: start local services, run the real DAG with the real operator, report, stop all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from local.dag_runs import DAG_ID
from local.environment import replaced_environment
from local.output_folder import emptied_folder
from local.processes import services
from local.processes.children import sigterm_as_interrupt
from local.progress import Progress, WeekRun
from local.remote_source import download_if_remote
from local.report import Report, WeekReport, collect, week_line, weeks_table, write
from local.report.model import without_password
from ratchet.errors import ConfigurationError
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings

console = Console()
POLL_SECONDS = 0.5
"""Seconds between two queries of Airflow's database."""


def run_demo(weeks: int, reviews: str, root: Path) -> int:
    """Run `weeks` consecutive logical weeks and write the report under `root`.

    Returns the exit code: 0, 1 if a week failed, 130 after Ctrl-C. Raises the errors of `emptied_folder`.
    """
    source = absolute_source(reviews)
    with emptied_folder(root, source), sigterm_as_interrupt():
        try:
            return _run_demo(weeks, source, root)
        except KeyboardInterrupt:
            print_line("Interrupted; everything that was started has been stopped.")
            return 130


def _run_demo(weeks: int, source: str, root: Path) -> int:
    started_at = datetime.now(UTC)
    print_line(f"Ratchet: {weeks} weekly retrains of [bold]{DAG_ID}[/] on {escape(without_password(source))}")
    cache = root.parent / "cache"
    reviews = download_if_remote(source, cache, root / "source")
    with services.running(root, source=reviews, cache=cache) as running:
        logs = display_path(root / "logs")
        print_line(f"Up: Postgres, AWS at {running.endpoint}, MLflow at {running.tracking}. Logs: {logs}")
        with replaced_environment(running.environment):
            settings = Settings()
            ledger, storage = Ledger(settings.ledger_url, settings.registered_model), open_storage(settings.store)
            first = settings.first_week.isoformat()
            command = [sys.executable, "-m", "local.dag_runs", first, str(weeks)]
            child = running.children.start("weeks", command, running.environment)
            code, rows = follow_weeks(
                child, Progress(running.databases["airflow"]), lambda runs: collect(storage, ledger, runs)
            )
            report = Report.of(rows, source=source, started_at=started_at, code_version=settings.code_version)
            write(report, root)
            champion = ledger.champion().version
            if champion is not None:
                copy_champion(settings, champion, root / "champion")
    if code:
        log = root / "logs" / "weeks.log"
        print_line(f"[red]A week failed:[/] {last_error(log)}\nComplete log: {display_path(log)}")
        return 1
    _print_summary(report, root)
    return 0


def last_error(log: Path) -> str:
    """The message of the last job that failed, as Airflow logged the job's output; escaped for the console."""
    messages = re.findall(r"\] ratchet: (.+?)(?: \[airflow\.task.*)?$", log.read_text(errors="replace"), re.MULTILINE)
    return escape(messages[-1]) if messages else "no job logged a reason; read the log."


def _print_summary(report: Report, root: Path) -> None:
    command = display_path(Path(sys.executable).with_name("ratchet"))
    example = f"{command} predict --model {display_path(root / 'champion')}"
    lines = {
        "": report.headline,
        "Report": f"{display_path(root / 'report.html')}, {display_path(root / 'report.json')}",
        "Champion": display_path(root / "champion"),
        "Try it": f"{example} --input reviews.csv --output predictions.parquet",
    }
    for name, text in lines.items():
        print_line(f"[bold]{name}[/]{': ' if name else ''}{escape(text)}")


def print_line(text: str) -> None:
    """Print one line; the terminal wraps a long one, so that it can be copied whole."""
    console.print(text, soft_wrap=True, highlight=False)


def display_path(path: Path) -> str:
    """The path relative to the current folder, if it lies in it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def follow_weeks(
    child: subprocess.Popen[bytes], progress: Progress, collected: Callable[[list[WeekRun]], list[WeekReport]]
) -> tuple[int, list[WeekReport]]:
    """Show the weeks until the process `child` ends: as a live table, or without a terminal as one line per week.

    Returns the exit code of `child`, and the figures of the weeks that ended.
    """
    finished: list[WeekReport] = []
    with _live_table() if console.is_terminal else nullcontext() as live:
        while True:
            code = child.poll()  # before the query, so that the last query sees the end of the last week
            runs = progress.weeks()
            ended = [run for run in runs if run.state in {"success", "failed"}]
            if len(ended) > len(finished):
                before, finished = len(finished), collected(ended)
                for week in finished[before:]:
                    if live is None:
                        print_line(escape(week_line(week)))
            if live is not None:
                live.update(weeks_table(finished, None if code is not None else _current_task(runs)))
            if code is not None:
                return code, finished
            time.sleep(POLL_SECONDS)


def _live_table() -> Live:
    return Live(weeks_table([], "starting Airflow"), console=console, refresh_per_second=4)


def _current_task(runs: list[WeekRun]) -> str:
    active = [run for run in runs if run.state == "running"]
    return f"week {active[-1].week}: {active[-1].running or 'between tasks'}" if active else "starting Airflow"


def run_dag_test(date: str, reviews: str, root: Path) -> int:
    """Run `airflow dags test` for one logical date against new local services; returns its exit code.

    Raises ConfigurationError for an invalid date, and the errors of `emptied_folder`.
    """
    try:
        datetime.fromisoformat(date)
    except ValueError:
        raise ConfigurationError(f"{date!r} is not a date. Write DATE=2026-01-05.") from None
    cache, source = root.parent / "cache", absolute_source(reviews)
    with emptied_folder(root, source), sigterm_as_interrupt():
        return _run_dag_test(date, download_if_remote(source, cache, root / "source"), root, cache)


def _run_dag_test(date: str, source: str, root: Path, cache: Path) -> int:
    with services.running(root, source=source, cache=cache) as running:
        for command in (["db", "migrate"], ["dags", "test", DAG_ID, date]):
            code = subprocess.call([sys.executable, "-m", "airflow", *command], env=running.environment)
            if code:
                return code
    return 0


def absolute_source(reviews: str) -> str:
    """The source with a local path made absolute, because each job runs in its own folder; empty means synthetic."""
    if not reviews:
        return "synthetic:"
    path, mark, pin = reviews.partition("#")
    return f"{Path(path).expanduser().resolve()}{mark}{pin}" if len(urlsplit(reviews).scheme) < 2 else reviews


def copy_champion(settings: Settings, version: int, folder: Path) -> None:
    """Copy the champion's verified artifact out of MLflow into `folder`, to be used after the services stop."""
    from ratchet.promotion.registry import Registry

    with Registry(settings).artifact(version) as files:
        shutil.copytree(files, folder)
