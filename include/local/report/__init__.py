"""What the weeks came to: figures, a live table, and report.json and report.html for whoever was not there."""

from __future__ import annotations

from pathlib import Path

from local.report.html import page
from local.report.model import JobFigures, Report, WeekReport, collect
from local.report.table import line, table

__all__ = ["JobFigures", "Report", "WeekReport", "collect", "line", "page", "table", "write"]


def write(report: Report, folder: Path) -> None:
    """Write `report.json` (everything, for machines) and `report.html` (one file, no network) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report), encoding="utf-8")
