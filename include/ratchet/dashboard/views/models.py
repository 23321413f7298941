"""The page Models: scores of every model version with intervals, and by slice of the test set."""

from __future__ import annotations

import altair as alt
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import ledger, versions
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory


def show(settings: DashboardSettings) -> None:
    """Draw the page. It reads the ledger only: every interval is computed from the counts in its evidence."""
    components.page_header(
        "Models",
        "Scores of each model version on the frozen test set, with 95 % intervals. If the intervals of two versions "
        "overlap widely, another test set might rank them differently.",
    )
    rows = components.load_or_warn("ledger", ledger.decisions, settings)
    if rows is None:
        return
    judged = versions.judged(rows)
    if not judged:
        components.empty_state(
            "No model version was evaluated yet. The first one is for week 0: run `ratchet evaluate --window 0-0` and "
            "`ratchet promote --window 0-0`, or trigger the DAG `review_sentiment`."
        )
        return
    _versions(rows)
    champion = rows.champion
    newest = list(judged)[::-1]
    st.header("Slices")
    st.caption(
        "Scores of one version in parts of the test set. The gate keeps the champion if the challenger is worse in "
        "one of them."
    )
    chosen = st.selectbox(
        "Model version",
        newest,
        index=newest.index(champion) if champion in newest else 0,
        format_func=lambda version: f"version {version}{' (champion)' if version == champion else ''}",
        width=300,
    )
    _slices(judged[chosen])


def _versions(rows: DecisionHistory) -> None:
    figures = versions.versions(rows)
    if figures["test"].nunique() > 1:
        st.warning("The test set was replaced between versions: compare only versions with the same `test`.")
    x = alt.X("version:O", title="model version", axis=alt.Axis(labelAngle=0))
    st.altair_chart(components.interval_chart(figures, x, "value", "on the test set", "figure"), width="stretch")
    st.dataframe(versions.wide(figures), hide_index=True)
    st.caption(
        "Macro-F1 with a bootstrap interval, accuracy with Wilson's, both from the counts in the ledger. Versions "
        "with the same `test` were evaluated on the same reviews, so the paired difference below separates them better."
    )


def _slices(row: Decision) -> None:
    paired = versions.against(row)
    if paired:
        difference, low, high = paired
        st.text(
            f"Version {row.version} against the champion at that time, paired difference: macro-F1 {difference:+.4f} "
            f"[{low:+.4f}, {high:+.4f}]."
        )
    table = versions.slices(row)
    if table["slice"].nunique() == 1:
        st.text("There was no champion to compare with, so the slices were not evaluated.")
        return
    order = table["slice"].drop_duplicates().tolist()
    x = alt.X("slice:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelLimit=160))
    st.altair_chart(components.interval_chart(table, x, "macro_f1", "macro-F1", "model"), width="stretch")
