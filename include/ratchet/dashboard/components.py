"""What several pages are made of: an intro, a source that may be down, an empty state, charts with one look."""

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


def intro(title: str, says: str) -> None:
    """The head of a page: its name, and in a sentence or two what it means."""
    st.title(title)
    st.caption(says)


def asked(source: str, query: Callable[..., T], *arguments: object) -> T | None:
    """The answer of a source; if there is none, the page says which source is down and what to do."""
    try:
        return query(*arguments)
    except RatchetError as error:
        st.error(f"**The {source} is not available**, so what it knows is missing here. {error}")
        return None


def empty(says: str) -> None:
    """Nothing to show yet, and what to do next."""
    st.info(says, icon=":material/hourglass_empty:")


def has_api(settings: DashboardSettings) -> bool:
    """Whether there is an API to ask; says how to name one if not."""
    if not settings.dashboard_api:
        empty(
            "No API is named, so there is nothing to ask. Start one with `ratchet serve`, and set "
            "`RATCHET_DASHBOARD_API` to its address and `RATCHET_DASHBOARD_API_KEY` to a key of it."
        )
    return bool(settings.dashboard_api)


def facts(named: dict[str, str]) -> None:
    """A row of figures with their names."""
    for column, (name, fact) in zip(st.columns(len(named)), named.items(), strict=True):
        column.metric(name, fact)


def checks(answers: list[tuple[str, bool, str]]) -> None:
    """Questions with their answers, (name, passed, says), each told to its end."""
    told = [(name, "yes" if passed else "no", says) for name, passed, says in answers]
    st.table(pd.DataFrame(told, columns=["check", "passed", "says"]).set_index("check"))


def minute(when: str) -> str:
    """An ISO 8601 time without its seconds."""
    return when[:16].replace("T", " ")


def count(number: float) -> str:
    """A whole number, with its thousands told apart."""
    return f"{number:,.0f}"


def series(name: str, order: list[str], symbol: str = "circle") -> alt.Color:
    """A colour for each of the named groups, which a legend on top tells."""
    scale = alt.Scale(domain=order, range=SERIES)
    legend = alt.Legend(orient="top", columns=4, symbolType=symbol, labelLimit=300)
    return alt.Color(f"{name}:N", scale=scale, title=None, legend=legend)


def ranges(table: pd.DataFrame, x: alt.X, y: str, title: str, group: str) -> alt.LayerChart:
    """Points with their intervals `low` to `high`, those of different groups side by side."""
    order = table[group].drop_duplicates().tolist()
    offset = alt.XOffset(f"{group}:N", sort=order)
    base = alt.Chart(table).encode(x=x, xOffset=offset, color=series(group, order))
    tooltip = [name for name in table.columns if name not in {y, "low", "high"}]
    figures = [alt.Tooltip(name, format=".4f") for name in (y, "low", "high")]
    scale = alt.Scale(zero=False, nice=True)
    bars = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(y=alt.Y(f"{y}:Q", scale=scale))
    return (bars + points).encode(tooltip=[*tooltip, *figures])
