"""The report as one HTML page without network access or script; light or dark as the reader's system."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from local.report import plots
from local.report.model import Report
from local.report.table import decision_text, format_f1

TEMPLATE = "page.html.j2"


def render_page(report: Report) -> str:
    """The complete page. Every text of the report is escaped; only the plots are markup."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"f1": format_f1, "signed": signed, "duration": duration}
    return environment.get_template(TEMPLATE).render(report=report, plots=plots, decision_text=decision_text)


def signed(difference: float) -> str:
    """The difference as +0.0123 or −0.0123, with a minus sign that is as wide as the plus."""
    return f"{difference:+.4f}".replace("-", "−")


def duration(seconds: float) -> str:
    """The duration as `47 s`, `5 min 39 s` or `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
