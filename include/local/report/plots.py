"""The plots of the report, as SVG that takes its colours and its font from the page, light or dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from local.report.model import Report, WeekReport
from local.report.table import seconds_by_section

INKS = ("ink", "muted", "grid", "paper", "blue", "orange", "green", "purple", "sky", "amber")
"""The page's CSS variables. Matplotlib draws with placeholder colours, which `_svg` replaces with `var(--…)`."""
PLACEHOLDER = {ink: f"#{number:02d}fe{number:02d}" for number, ink in enumerate(INKS, start=10)}
SECTIONS = {"data": "sky", "score": "purple", "train": "blue", "evaluate": "amber", "promote": "green"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11.5,
    "text.color": PLACEHOLDER["ink"],
    "axes.labelcolor": PLACEHOLDER["muted"],
    "axes.edgecolor": PLACEHOLDER["grid"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PLACEHOLDER["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": PLACEHOLDER["grid"],
    "ytick.color": PLACEHOLDER["grid"],
    "xtick.labelcolor": PLACEHOLDER["muted"],
    "ytick.labelcolor": PLACEHOLDER["muted"],
    "legend.frameon": False,
    "legend.handlelength": 1.3,
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.5,
}


def f1_by_week(report: Report) -> Markup | None:
    """Challenger, champion after the decision, prequential score; filled dots are promotions. None without scores."""
    if not any(week.challenger_f1 is not None for week in report.weeks):
        return None
    return _svg("f1", "Macro-F1 by week of challenger, champion and prequential score", lambda axes: _f1(axes, report))


def _f1(axes: Axes, report: Report) -> None:
    service = _points(report, lambda week: week.service_f1)
    prequential = _points(report, lambda week: week.prequential_f1)
    challenger = _points(report, lambda week: week.challenger_f1)
    if service:
        weeks, scores = [week for week, _ in service], [score for _, score in service]
        axes.step([*weeks, weeks[-1] + 0.5], [*scores, scores[-1]], where="post", color=PLACEHOLDER["orange"],
                  linewidth=2, label="champion after decision")  # fmt: skip
    if prequential:
        axes.plot(*zip(*prequential, strict=True), color=PLACEHOLDER["muted"], linestyle=":", marker="^", markersize=6,
                  label="prequential")  # fmt: skip
    axes.plot(*zip(*challenger, strict=True), color=PLACEHOLDER["blue"], linewidth=1, marker="o", markersize=6,
              markerfacecolor=PLACEHOLDER["paper"], label="challenger")  # fmt: skip
    for week in report.weeks:
        if week.action == "promote" and week.challenger_f1 is not None:
            axes.plot(week.week, week.challenger_f1, "o", color=PLACEHOLDER["blue"], markersize=6)
            axes.annotate(f"v{week.version}", (week.week, week.challenger_f1), (0, 7), textcoords="offset points",
                          ha="center", fontsize=10.5)  # fmt: skip
    axes.margins(y=0.14)
    _weeks(axes, report)
    axes.set_ylabel("macro-F1")
    axes.figure.legend(loc="outside lower center", ncols=3)


def difference_by_week(report: Report) -> Markup | None:
    """Challenger minus champion with its interval, one row per week. None if no week compared with a champion."""
    compared = [
        (week, week.difference, week.interval)
        for week in report.weeks
        if week.difference is not None and week.interval is not None
    ]
    if not compared:
        return None
    return _svg("difference", "Difference in macro-F1 by week, with intervals", lambda axes: _forest(axes, compared))


def _forest(axes: Axes, compared: list[tuple[WeekReport, float, tuple[float, float]]]) -> None:
    axes.axvline(0, color=PLACEHOLDER["ink"], linewidth=1)
    for week, difference, interval in compared:
        promoted = week.action == "promote"
        color = PLACEHOLDER["green" if promoted else "muted"]
        axes.plot(interval, [week.week] * 2, color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(difference, week.week, "o", color=color, markersize=7,
                  markerfacecolor=color if promoted else PLACEHOLDER["paper"])  # fmt: skip
    for name, color, face in (("promoted", "green", "green"), ("kept", "muted", "paper")):
        axes.plot([], [], "o-", color=PLACEHOLDER[color], markerfacecolor=PLACEHOLDER[face], linewidth=2, label=name)
    axes.set_ylim(compared[-1][0].week + 0.6, compared[0][0].week - 0.6)
    axes.yaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="macro-F1 of the challenger minus that of the champion", ylabel="week")
    axes.figure.legend(loc="outside lower center", ncols=2)


def seconds_by_week(report: Report) -> Markup | None:
    """Seconds of the jobs, stacked, and the wall clock of the DAG run. None if no job ran."""
    if not any(week.jobs for week in report.weeks):
        return None
    return _svg("seconds", "Seconds by week, stacked by job", lambda axes: _seconds(axes, report))


def _seconds(axes: Axes, report: Report) -> None:
    weeks = [week.week for week in report.weeks]
    spent = [seconds_by_section(week) for week in report.weeks]
    bottom = [0.0] * len(weeks)
    for section, color in SECTIONS.items():
        heights = [figures.get(section, 0.0) for figures in spent]
        if any(heights):
            axes.bar(weeks, heights, 0.7, bottom, color=PLACEHOLDER[color], edgecolor=PLACEHOLDER["paper"],
                     linewidth=0.8, label=section)  # fmt: skip
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    axes.hlines([week.seconds for week in report.weeks], [week - 0.42 for week in weeks],
                [week + 0.42 for week in weeks], color=PLACEHOLDER["ink"], linewidth=1.6, label="DAG run")  # fmt: skip
    axes.set_ylim(0)
    axes.grid(visible=False, axis="x")
    _weeks(axes, report)
    axes.set_ylabel("seconds")
    axes.figure.legend(loc="outside lower center", ncols=6)


def memory_by_job(report: Report) -> Markup | None:
    """The largest peak memory of each kind of job, in MiB. None if no job ran."""
    if not report.peak_memory_mib:
        return None
    return _svg("memory", "Peak memory by job", lambda axes: _memory(axes, report.peak_memory_mib))


def _memory(axes: Axes, peaks: dict[str, float]) -> None:
    bars = axes.barh(list(peaks), list(peaks.values()), 0.6, color=PLACEHOLDER["sky"])
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=10.5)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("peak memory of one task, MiB")


def _points(report: Report, score: Callable[[WeekReport], float | None]) -> list[tuple[int, float]]:
    return [(week.week, found) for week in report.weeks if (found := score(week)) is not None]


def _weeks(axes: Axes, report: Report) -> None:
    first, last = report.weeks[0].week, report.weeks[-1].week
    axes.set_xlim(first - 0.6, last + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    axes.set_xlabel("week")


def _svg(name: str, label: str, draw: Callable[[Axes], None]) -> Markup:
    """Draw on one pair of axes. Ids are the same in every run, and unique in the page."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(6.4, 3.7), layout="constrained")
        figure.patch.set_visible(False)
        draw(figure.add_subplot())
        file = StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()[file.getvalue().index("<svg") :]
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    for ink, placeholder in PLACEHOLDER.items():
        svg = svg.replace(placeholder, f"var(--{ink})")
    labelled = svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    return Markup(labelled)  # noqa: S704 - matplotlib escapes the text that it draws
