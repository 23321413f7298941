"""The weeks in the terminal: a live table with one row per week, or without a terminal one line of text per week."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from local.report.model import WeekReport

SECTION = {"ingest": "data", "preprocess": "data", "split": "data", "featurize": "data"}
"""Jobs whose seconds are added up under one name; every other job has its own."""
SECOND_LINE = ("evaluate", "promote")
STYLE = {"promote": "green", "keep": "yellow", "skip": "dim", "failed": "bold red"}


def weeks_table(weeks: Sequence[WeekReport], running: str | None) -> Table:
    """Finished weeks, and a row for what runs now: `week 3: training.train`, or any other text.

    Needs a terminal of at least 100 columns.
    """
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    grid.caption, grid.caption_justify = _caption(weeks), "left"
    for name in ("week", "window", "rows"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("seconds by job", no_wrap=True, min_width=22)
    for name in ("challenger", "champion", "pre-\nquential"):
        grid.add_column(f"{name}\nmacro-F1", justify="right", no_wrap=True)
    grid.add_column("decision")
    for week in weeks:
        grid.add_row(
            str(week.week),
            week.window,
            f"{week.rows:,}",
            _seconds(week),
            *map(format_f1, (week.challenger_f1, week.champion_f1, week.prequential_f1)),
            TwoLines(Text.assemble((decision_text(week), STYLE[week.action]), " ", week.reason)),
        )
    if running is not None:
        grid.add_row(*_running(running))
    return grid


def week_line(week: WeekReport) -> str:
    """A finished week as one line of plain text."""
    seconds = ", ".join(f"{section} {spent:.0f}" for section, spent in seconds_by_section(week).items())
    interval = f" [{week.interval[0]:+.4f}, {week.interval[1]:+.4f}]" if week.interval else ""
    return (
        f"week {week.week}, window {week.window}, {week.rows:,} rows, {week.seconds:.0f} s ({seconds or 'no job'}); "
        f"macro-F1 challenger {format_f1(week.challenger_f1)}, champion {format_f1(week.champion_f1)}, "
        f"prequential {format_f1(week.prequential_f1)}; {decision_text(week)}: {week.reason}{interval}"
    )


def seconds_by_section(week: WeekReport) -> dict[str, float]:
    """Seconds of the week's jobs; those of the data engineering are added up as `data`."""
    spent: dict[str, float] = {}
    for job in week.jobs:
        section = SECTION.get(job.job, job.job)
        spent[section] = spent.get(section, 0.0) + job.seconds
    return spent


def decision_text(week: WeekReport) -> str:
    """The outcome of the week and the champion after it: `↑ promote v3`, `keep v2`, `failed`."""
    mark = "↑ " if week.action == "promote" else ""
    version = f" v{week.champion}" if week.champion is not None and week.action in {"promote", "keep"} else ""
    return f"{mark}{week.action}{version}"


def format_f1(f1: float | None) -> str:
    """The score with four decimals; a dash for None."""
    return "–" if f1 is None else f"{f1:.4f}"


def _seconds(week: WeekReport) -> str:
    lines: tuple[list[str], list[str]] = ([], [])
    for section, spent in seconds_by_section(week).items():
        lines[section in SECOND_LINE].append(f"{section} {spent:.0f}")
    return "\n".join(" ".join(words) for words in lines if words)


def _running(text: str) -> list[RenderableType]:
    """The row of the week that runs.

    Its spinner starts at time 0 rather than at its first frame, so that it turns although every table is a new one.
    """
    found = re.fullmatch(r"week (?P<week>\d+): (?:\w+\.)?(?P<task>.*)", text)
    spinner = Spinner("dots", text=Text(found["task"] if found else text), style="cyan")
    spinner.start_time = 0.0
    return [found["week"], f"0-{found['week']}", "", spinner] if found else ["", "", "", spinner]


def _caption(weeks: Sequence[WeekReport]) -> str | None:
    if not weeks:
        return None
    promoted = sum(week.action == "promote" for week in weeks)
    minutes, seconds = divmod(round(sum(week.seconds for week in weeks)), 60)
    return f"{len(weeks)} week{'s' * (len(weeks) > 1)} in {minutes} min {seconds:02d} s, {promoted} promoted"


class TwoLines:
    """Text on at most two lines of the available width; an ellipsis marks text that was cut."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wrapped = list(self.text.wrap(console, options.max_width))
        if len(wrapped) > 2:
            rest = Text(" ").join(wrapped[1:])
            rest.truncate(options.max_width, overflow="ellipsis")
            wrapped = [wrapped[0], rest]
        yield Text("\n").join(wrapped)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.text)
