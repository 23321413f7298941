"""The report on weekly runs: figures per week, a table for the terminal, report.json and report.html."""

from __future__ import annotations

from pathlib import Path

from local.report.html import render_page
from local.report.model import JobFigures, Report, WeekReport, collect
from local.report.table import week_line, weeks_table

__all__ = ["JobFigures", "Report", "WeekReport", "collect", "render_page", "week_line", "weeks_table", "write"]


def write(report: Report, folder: Path) -> None:
    """Write `report.json`, with every figure, and `report.html`, one file that loads nothing else, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(render_page(report), encoding="utf-8")
