"""The page on model versions: how good each is, how sure that is, and where it is weak."""

from __future__ import annotations

import altair as alt
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import ledger, versions
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.decision import Decision
from ratchet.ledger.history import DecisionHistory


def show(settings: DashboardSettings) -> None:
    """Draw the page from the ledger alone: its evidence holds the counts that every interval follows from."""
    components.intro(
        "Models",
        "How good each model version is on the frozen test set. The bars are 95 % intervals: where those of two "
        "versions overlap widely, another test set might rank them the other way round.",
    )
    rows = components.asked("ledger", ledger.decisions, settings)
    if rows is None:
        return
    judged = versions.judged(rows)
    if not judged:
        components.empty(
            "No model version was measured yet. The first is with week 0: run `ratchet evaluate --window 0-0` and "
            "`ratchet promote --window 0-0`, or trigger the DAG `review_sentiment`."
        )
        return
    _versions(rows)
    champion = rows.champion
    newest = list(judged)[::-1]
    st.header("Slices")
    st.caption("One version in parts of the test set. A challenger may not fall behind the champion in any of them.")
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
        st.warning("The test set was replaced in between: only versions with the same `test` can be compared.")
    x = alt.X("version:O", title="model version", axis=alt.Axis(labelAngle=0))
    st.altair_chart(components.ranges(figures, x, "value", "on the test set", "figure"), width="stretch")
    st.dataframe(versions.wide(figures), hide_index=True)
    st.caption(
        "Macro-F1 with a bootstrap interval, accuracy with Wilson's, both from the counts in the ledger. Versions "
        "with the same `test` read the same reviews, so the paired difference below tells two of them apart better."
    )


def _slices(row: Decision) -> None:
    paired = versions.against(row)
    if paired:
        difference, low, high = paired
        st.text(
            f"Version {row.version} against the champion of that time, paired: macro-F1 {difference:+.4f} "
            f"[{low:+.4f}, {high:+.4f}]."
        )
    table = versions.slices(row)
    if table["slice"].nunique() == 1:
        st.text("There was no champion to compare with, so no slices were looked at.")
        return
    order = table["slice"].drop_duplicates().tolist()
    x = alt.X("slice:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelLimit=160))
    st.altair_chart(components.ranges(table, x, "macro_f1", "macro-F1", "model"), width="stretch")
