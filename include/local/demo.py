"""`make demo` and `make dag-test`: services up, the real DAG through the real operator, a report, everything down."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from local.dag_runs import DAG_ID
from local.environment import applied
from local.processes import services
from local.processes.children import terminated_as_interrupted
from local.progress import Progress, WeekRun
from local.remote_source import at_hand
from local.report import Report, WeekReport, collect, line, table, write
from local.report.model import without_password
from ratchet.errors import ConfigurationError
from ratchet.jobs.storage import open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings

console = Console()
LOOK_EVERY = 0.5
"""Seconds between looks into Airflow's database."""


def rehearse(weeks: int, reviews: str, root: Path) -> int:
    """Run `weeks` consecutive logical weeks and report under `root`. Returns the exit code: 1 if a week failed."""
    with _fresh(root), terminated_as_interrupted():
        try:
            return _rehearse(weeks, source_of(reviews), root)
        except KeyboardInterrupt:
            say("Interrupted; everything that was started has been stopped.")
            return 130


def _rehearse(weeks: int, source: str, root: Path) -> int:
    began = datetime.now(UTC)
    say(f"Ratchet: {weeks} weekly retrains of [bold]{DAG_ID}[/] on {escape(without_password(source))}")
    cache = root.parent / "cache"
    reviews = at_hand(source, cache, root / "source")
    with services.running(root, source=reviews, cache=cache) as running:
        say(f"Up: Postgres, AWS at {running.endpoint}, MLflow at {running.tracking}. Logs: {shown(root / 'logs')}")
        with applied(running.environment):
            settings = Settings()
            ledger, storage = Ledger(settings.ledger_url, settings.registered_model), open_storage(settings.store)
            first = settings.first_week.isoformat()
            command = [sys.executable, "-m", "local.dag_runs", first, str(weeks)]
            child = running.children.start("weeks", command, running.environment)
            code, rows = follow(
                child, Progress(running.databases["airflow"]), lambda runs: collect(storage, ledger, runs)
            )
            report = Report.of(rows, source=source, started_at=began, code_version=settings.code_version)
            write(report, root)
            champion = ledger.champion().version
            if champion is not None:
                take_champion(settings, champion, root / "champion")
    if code:
        log = root / "logs" / "weeks.log"
        say(f"[red]A week failed:[/] {reason(log)}\nAll of it: {shown(log)}")
        return 1
    _summarise(report, root)
    return 0


def reason(log: Path) -> str:
    """What the last job that failed said of itself, as Airflow logged its output."""
    said = re.findall(r"\] ratchet: (.+?)(?: \[airflow\.task.*)?$", log.read_text(errors="replace"), re.MULTILINE)
    return escape(said[-1]) if said else "no job said why; see the log."


def _summarise(report: Report, root: Path) -> None:
    example = f"{shown(Path(sys.argv[0]))} predict --model {shown(root / 'champion')}"
    lines = {
        "": report.headline,
        "Report": f"{shown(root / 'report.html')}, {shown(root / 'report.json')}",
        "Champion": shown(root / "champion"),
        "Try it": f"{example} --input reviews.csv --output predictions.parquet",
    }
    for name, words in lines.items():
        say(f"[bold]{name}[/]{': ' if name else ''}{escape(words)}")


def say(words: str) -> None:
    """One line for people; a long one is left for the terminal to wrap, so that it can be copied."""
    console.print(words, soft_wrap=True, highlight=False)


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def follow(
    child: subprocess.Popen[bytes], progress: Progress, collected: Callable[[list[WeekRun]], list[WeekReport]]
) -> tuple[int, list[WeekReport]]:
    """Show the weeks until their DAG runs end: a live table, or a line a week where nobody watches.

    Returns the exit code of the runs, and the figures of the weeks that ended.
    """
    finished: list[WeekReport] = []
    with _table() if console.is_terminal else nullcontext() as live:
        while True:
            code = child.poll()  # before the look, so that the last look sees the end of the last week
            runs = progress.weeks()
            ended = [run for run in runs if run.state in {"success", "failed"}]
            if len(ended) > len(finished):
                before, finished = len(finished), collected(ended)
                for week in finished[before:]:
                    if live is None:
                        say(escape(line(week)))
            if live is not None:
                live.update(table(finished, None if code is not None else _now(runs)))
            if code is not None:
                return code, finished
            time.sleep(LOOK_EVERY)


def _table() -> Live:
    return Live(table([], "starting Airflow"), console=console, refresh_per_second=4)


def _now(runs: list[WeekRun]) -> str:
    active = [run for run in runs if run.state == "running"]
    return f"week {active[-1].week}: {active[-1].running or 'between tasks'}" if active else "starting Airflow"


def dag_test(date: str, reviews: str, root: Path) -> int:
    """Run `airflow dags test` for one logical date against fresh embedded services; returns its exit code."""
    try:
        datetime.fromisoformat(date)
    except ValueError:
        raise ConfigurationError(f"{date!r} is no date. Write DATE=2026-01-05.") from None
    cache = root.parent / "cache"
    with _fresh(root), terminated_as_interrupted():
        source = at_hand(source_of(reviews), cache, root / "source")
        return _dag_test(date, source, root, cache)


def _dag_test(date: str, source: str, root: Path, cache: Path) -> int:
    with services.running(root, source=source, cache=cache) as running:
        for command in (["db", "migrate"], ["dags", "test", DAG_ID, date]):
            code = subprocess.call([sys.executable, "-m", "airflow", *command], env=running.environment)
            if code:
                return code
    return 0


def source_of(reviews: str) -> str:
    """What the user typed, with a path of this machine made absolute: jobs run in folders of their own."""
    if not reviews:
        return "synthetic:"
    path, mark, pin = reviews.partition("#")
    return f"{Path(path).expanduser().resolve()}{mark}{pin}" if len(urlsplit(reviews).scheme) < 2 else reviews


def take_champion(settings: Settings, version: int, folder: Path) -> None:
    """Copy the champion's verified artifact out of MLflow, so that it can be used when nothing runs any more."""
    from ratchet.promotion.registry import Registry

    with Registry(settings).artifact(version) as files:
        shutil.copytree(files, folder)


@contextmanager
def _fresh(root: Path) -> Iterator[None]:
    """An empty folder that is ours alone. Raises ConfigurationError if another run is using it."""
    with alone(root):
        shutil.rmtree(root, ignore_errors=True)
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """A folder that is ours alone, as it is. Raises ConfigurationError if another run is using it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"Another run is using {root}. Wait for it, or give another --output.") from None
        yield
