"""The page on retraining: who serves, how the scores moved as the window grew, what was decided and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import queries
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import RatchetError
from ratchet.ledger import Decision

T = TypeVar("T")


def show(settings: DashboardSettings) -> None:
    """Draw the page; a source that is down costs its part of the page and nothing else."""
    st.title("Retraining")
    st.caption(
        "Each week a challenger is trained on one more batch of reviews. It takes the champion's place only when the "
        "evidence says so."
    )
    rows = _asked("ledger", queries.decisions, settings)
    if rows == []:
        st.info(
            "Nothing was decided yet. The first decision comes with week 0: run `ratchet promote --window 0-0`, or "
            "trigger the DAG `review_sentiment`.",
            icon=":material/hourglass_empty:",
        )
    if rows:
        _champion(rows)
    if settings.dashboard_api:
        _served(settings, rows)
    if rows:
        _curve(rows, _asked("store", queries.prequential, settings, queries.windows(rows)) or {})
        _decisions(rows)


def _asked(source: str, query: Callable[..., T], *arguments: object) -> T | None:
    """The answer of a source; if there is none, the page says which source is down and what to do."""
    try:
        return query(*arguments)
    except RatchetError as error:
        st.error(f"**The {source} is not available**, so what it knows is missing here. {error}")
        return None


def _champion(rows: list[Decision]) -> None:
    found = queries.champion(rows)
    if found is None:
        st.info("There is no champion yet: no challenger was good enough. The decisions below say why.")
        return
    made, judged = found
    score = queries.macro_f1(judged)
    facts = {
        "Champion": f"version {made.version}",
        "Trained on batches": judged.window,
        "Macro-F1, test set": "–" if score is None else f"{score:.4f}",
        "Since (UTC)": made.decided_at[:16].replace("T", " "),
    }
    for column, (name, fact) in zip(st.columns(len(facts)), facts.items(), strict=True):
        column.metric(name, fact)
    st.text(f"Why: {'; '.join(made.reasons)} (decided by {made.decided_by}).")


def _served(settings: DashboardSettings, rows: list[Decision] | None) -> None:
    """What the API says, beside what the ledger says."""
    said = _asked("API", queries.served, settings)
    if said is None:
        return
    version = said["promotion"]["version"]
    found = queries.champion(rows) if rows else None
    if said["problem"] or (found and found[0].version != version):
        st.warning(f"The API serves version {version}, which is not up to date. {said['problem']}")
    else:
        st.success(f"The API serves version {version}, loaded {said['loaded_at'][:16].replace('T', ' ')} UTC.")


def _curve(rows: list[Decision], scores: dict[str, float]) -> None:
    st.header("Retraining curve")
    st.caption(
        "Macro-F1 by training window. On the frozen test set: the week's challenger, and whoever was champion after "
        "the decision. Prequential: the champion of that time on the week's batch, before anything trained on it; a "
        "dip there means that the language has moved."
    )
    points = queries.curve(rows, scores)
    if points.empty:
        st.info("No challenger was measured yet.")
    else:
        st.altair_chart(_lines(points, queries.windows(rows)), width="stretch")


def _lines(points: pd.DataFrame, windows: list[str]) -> alt.Chart:
    """A line a score; the axis does not start at 0, because weeks differ in the third digit."""
    order = [queries.CHALLENGER, queries.CHAMPION, queries.PREQUENTIAL]
    return (
        alt.Chart(points)
        .mark_line(point=True)
        .encode(
            x=alt.X("window:N", sort=windows, title="window of batches", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("macro_f1:Q", scale=alt.Scale(zero=False), title="macro-F1"),
            color=alt.Color("score:N", sort=order, title=None, legend=alt.Legend(orient="top")),
            tooltip=["window", "score", alt.Tooltip("macro_f1", format=".4f")],
        )
    )


def _decisions(rows: list[Decision]) -> None:
    st.header("Decisions")
    st.caption(
        "Newest first; the ledger only ever grows. `ratchet explain VERSION` tells one in full, `ratchet replay ID` "
        "computes it again."
    )
    st.dataframe(
        queries.table(rows),
        hide_index=True,
        column_config={
            "macro-F1": st.column_config.NumberColumn(format="%.4f"),
            "because": st.column_config.TextColumn(width="large"),
        },
    )
