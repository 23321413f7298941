"""Components that several pages share: page header, source errors, empty states, figures, tables and charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard.colours import SERIES
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import RatchetError

T = TypeVar("T")


def page_header(title: str, caption: str) -> None:
    """The title of a page, and one or two sentences on its content."""
    st.title(title)
    st.caption(caption)


def load_or_warn(source: str, query: Callable[..., T], *arguments: object) -> T | None:
    """The result of a query; None after a RatchetError, which the page shows with the source and the remedy."""
    try:
        return query(*arguments)
    except RatchetError as error:
        st.error(f"**The {source} is not available**, so its data are missing on this page. {error}")
        return None


def empty_state(message: str) -> None:
    """A note in place of data that do not exist yet; the message names the next step."""
    st.info(message, icon=":material/hourglass_empty:")


def has_api(settings: DashboardSettings) -> bool:
    """Whether an API is configured; if not, the page shows how to configure one."""
    if not settings.dashboard_api:
        empty_state(
            "No API is configured. Start one with `ratchet serve`, and set `RATCHET_DASHBOARD_API` to its address and "
            "`RATCHET_DASHBOARD_API_KEY` to one of its keys."
        )
    return bool(settings.dashboard_api)


def metric_row(metrics: dict[str, str]) -> None:
    """A row of figures, by their names."""
    for column, (name, value) in zip(st.columns(len(metrics)), metrics.items(), strict=True):
        column.metric(name, value)


def check_table(checks: list[tuple[str, bool, str]]) -> None:
    """A table of checks, each as (name, passed, message), with the full message."""
    rows = [(name, "yes" if passed else "no", message) for name, passed, message in checks]
    st.table(pd.DataFrame(rows, columns=["check", "passed", "result"]).set_index("check"))


def format_minute(timestamp: str) -> str:
    """An ISO 8601 timestamp without its seconds."""
    return timestamp[:16].replace("T", " ")


def format_count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{number:,.0f}"


def color_by(field: str, order: list[str], symbol: str = "circle") -> alt.Color:
    """A colour for each group of `field`, with a legend above the chart."""
    scale = alt.Scale(domain=order, range=SERIES)
    legend = alt.Legend(orient="top", columns=4, symbolType=symbol, labelLimit=300)
    return alt.Color(f"{field}:N", scale=scale, title=None, legend=legend)


def interval_chart(table: pd.DataFrame, x: alt.X, y: str, title: str, group: str) -> alt.LayerChart:
    """Points of column `y` with their intervals `low` to `high`, the groups side by side."""
    order = table[group].drop_duplicates().tolist()
    offset = alt.XOffset(f"{group}:N", sort=order)
    base = alt.Chart(table).encode(x=x, xOffset=offset, color=color_by(group, order))
    tooltip = [name for name in table.columns if name not in {y, "low", "high"}]
    figures = [alt.Tooltip(name, format=".4f") for name in (y, "low", "high")]
    scale = alt.Scale(zero=False, nice=True)
    bars = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(y=alt.Y(f"{y}:Q", scale=scale))
    chart: alt.LayerChart = (bars + points).encode(tooltip=[*tooltip, *figures])
    return chart
