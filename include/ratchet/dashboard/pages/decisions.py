"""The page on decisions: every one, with all its reasons and the evidence it rests on."""

from __future__ import annotations

import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import ledger
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.decision import Decision

ACTIONS = ["promote", "keep", "rollback"]


def show(settings: DashboardSettings) -> None:
    """Draw the page from the ledger alone."""
    components.intro(
        "Decisions",
        "Why the champion is who it is: every decision that was ever made about it, newest first. The ledger only "
        "ever grows; `ratchet replay ID` computes a verdict again from what it keeps.",
    )
    rows = components.asked("ledger", ledger.decisions, settings)
    if rows is None:
        return
    if not rows:
        components.empty(
            "Nothing was decided yet. The first decision comes with week 0: run `ratchet promote --window 0-0`, or "
            "trigger the DAG `review_sentiment`."
        )
        return
    left, right = st.columns([1, 2])
    actions = left.pills("Decision", ACTIONS, selection_mode="multi", default=ACTIONS)
    words = right.text_input("Search", placeholder="words of a window, a version, a reason or a name")
    found = ledger.matching(rows, actions, words)
    if not found:
        st.info(f"None of {len(rows)} decisions is like that. Choose more kinds, or other words.")
        return
    st.text(f"{len(found)} of {len(rows)} decisions")
    st.dataframe(
        ledger.table(found),
        hide_index=True,
        placeholder="–",
        column_config={
            "macro-F1": st.column_config.NumberColumn(format="%.4f"),
            "because": st.column_config.TextColumn(width="large"),
        },
    )
    _one(found)


def _one(rows: list[Decision]) -> None:
    """All that the ledger holds of a decision."""
    st.header("In full")
    by_id = {row.id: row for row in reversed(rows)}
    row = by_id[st.selectbox("Decision", list(by_id), format_func=lambda each: _title(by_id[each]))]
    st.text("\n".join(f"• {reason}" for reason in row.reasons))
    origin = f"code {row.code_version or 'unknown'}{f', DAG run {row.dag_run}' if row.dag_run else ''}"
    st.text(f"Decided by {row.decided_by} at {components.minute(row.decided_at)} UTC, {origin}.")
    if row.approval:
        st.text(f"An approval was requested: {row.approval.summary}.")
    checks = ledger.checks(row)
    if checks:
        components.checks(checks)
    else:
        st.text("The gate was not asked, so there are no checks.")
    if row.gate:
        with st.expander("The evidence, as it is in the ledger"):
            st.json(row.gate.model_dump(mode="json"), expanded=1)


def _title(row: Decision) -> str:
    if row.action == "rollback":
        return f"{row.id}: rollback to version {row.version}"
    return f"{row.id}: {row.action}, window {row.window}, version {row.version}"
