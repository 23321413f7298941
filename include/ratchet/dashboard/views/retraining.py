"""The page Retraining: the champion, the scores by training window, and the decision of each week."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.colours import BLUE, GREY, ORANGE
from ratchet.dashboard.queries import api, ledger, store
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.history import DecisionHistory

SCORES = [ledger.CHALLENGER, ledger.CHAMPION, ledger.PREQUENTIAL]


def show(settings: DashboardSettings) -> None:
    """Draw the page. If a source is down, only its part of the page is missing."""
    components.page_header(
        "Retraining",
        "Each week a challenger is trained on one more batch of reviews. It replaces the champion only if the gate's "
        "checks on the test set pass.",
    )
    rows = components.load_or_warn("ledger", ledger.decisions, settings)
    if rows is not None and not rows:
        components.empty_state(
            "There is no decision yet. The first one is for week 0: run `ratchet promote --window 0-0`, or "
            "trigger the DAG `review_sentiment`."
        )
    if rows:
        _champion(rows)
    if settings.dashboard_api:
        _served(settings, rows)
    if rows:
        scores = components.load_or_warn("store", store.prequential_scores, settings, rows.windows) or {}
        _weeks(ledger.weeks(rows, scores))


def _champion(rows: DecisionHistory) -> None:
    made = rows.champion_decision
    if made is None:
        st.info("There is no champion yet: no challenger passed the gate. The page Decisions shows why.")
        return
    judged = rows.judged_by or made
    score = ledger.macro_f1(judged)
    components.metric_row(
        {
            "Champion": f"version {made.version}",
            "Trained on batches": judged.window,
            "Macro-F1, test set": "–" if score is None else f"{score:.4f}",
        }
    )
    since = components.format_minute(made.decided_at)
    st.text(f"Champion since {since} UTC: {'; '.join(made.reasons)} (decided by {made.decided_by}).")


def _served(settings: DashboardSettings, rows: DecisionHistory | None) -> None:
    """The version that the API serves, compared with the champion in the ledger."""
    model = components.load_or_warn("API", api.served_model, settings)
    if model is None:
        return
    version = model["promotion"]["version"]
    if model["problem"] or (rows and rows.champion not in (None, version)):
        st.warning(f"The API serves version {version}, which is not up to date. {model['problem']}")
    else:
        st.success(f"The API serves version {version}, loaded {components.format_minute(model['loaded_at'])} UTC.")


def _weeks(table: pd.DataFrame) -> None:
    st.header("Retraining curve")
    st.caption(
        "Macro-F1 by training window. On the frozen test set: the week's challenger, and the champion after the "
        "decision. Prequential: the champion at that time on the week's new batch, before any training on it; a drop "
        "there means that the new reviews differ from the earlier ones."
    )
    points = ledger.curve(table)
    if points.empty:
        st.info("No challenger was evaluated yet.")
    else:
        st.altair_chart(_lines(points, table["window"].tolist()[::-1]), width="stretch")
    st.dataframe(
        table,
        hide_index=True,
        placeholder="–",
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in SCORES},
    )


def _lines(points: pd.DataFrame, windows: list[str]) -> alt.LayerChart:
    """Lines for the champion's and the prequential score, a ring for each challenger.

    The axis does not start at 0, because weeks differ in the third digit.
    """
    base = alt.Chart(points).encode(
        x=alt.X("window:N", sort=windows, title="window of batches", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("macro_f1:Q", scale=alt.Scale(zero=False), title="macro-F1"),
        color=alt.Color(
            "score:N",
            scale=alt.Scale(domain=SCORES, range=[ORANGE, BLUE, GREY]),
            title=None,
            legend=alt.Legend(orient="top", symbolType="circle"),
        ),
        tooltip=["window", "score", alt.Tooltip("macro_f1", format=".4f")],
    )
    is_challenger = alt.datum.score == ledger.CHALLENGER
    chart: alt.LayerChart = (
        base.transform_filter(~is_challenger).mark_line(point=True)
        + base.transform_filter(is_challenger).mark_point(size=140, strokeWidth=2, opacity=1)
    )  # fmt: skip
    return chart
