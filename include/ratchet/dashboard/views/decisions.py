"""The page Decisions: every decision with its reasons, checks and evidence."""

from __future__ import annotations

import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import ledger
from ratchet.dashboard.settings import DashboardSettings
from ratchet.ledger.decision import Decision

ACTIONS = ["promote", "keep", "rollback"]


def show(settings: DashboardSettings) -> None:
    """Draw the page. It reads the ledger only."""
    components.page_header(
        "Decisions",
        "Every promotion, rejection and rollback, newest first, with its reasons. The ledger is append-only; `ratchet "
        "replay ID` computes a verdict again from the stored evidence.",
    )
    rows = components.load_or_warn("ledger", ledger.decisions, settings)
    if rows is None:
        return
    if not rows:
        components.empty_state(
            "There is no decision yet. The first one is for week 0: run `ratchet promote --window 0-0`, or "
            "trigger the DAG `review_sentiment`."
        )
        return
    left, right = st.columns([1, 2])
    actions = left.pills("Kind", ACTIONS, selection_mode="multi", default=ACTIONS)
    words = right.text_input("Search", placeholder="window, version, reason or author")
    found = ledger.matching(rows, actions, words)
    if not found:
        st.info(f"None of the {len(rows)} decisions matches. Select more kinds, or search for other words.")
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
    """All details of one decision."""
    st.header("Details")
    by_id = {row.id: row for row in reversed(rows)}
    row = by_id[st.selectbox("Decision", list(by_id), format_func=lambda each: _title(by_id[each]))]
    st.text("\n".join(f"• {reason}" for reason in row.reasons))
    origin = f"code {row.code_version or 'unknown'}{f', DAG run {row.dag_run}' if row.dag_run else ''}"
    st.text(f"Decided by {row.decided_by} at {components.format_minute(row.decided_at)} UTC, {origin}.")
    if row.approval:
        st.text(f"Approval: {row.approval.summary}.")
    checks = ledger.checks(row)
    if checks:
        components.check_table(checks)
    else:
        st.text("The gate did not judge this decision, so there are no checks.")
    if row.gate:
        with st.expander("Evidence as stored in the ledger"):
            st.json(row.gate.model_dump(mode="json"), expanded=1)


def _title(row: Decision) -> str:
    if row.action == "rollback":
        return f"{row.id}: rollback to version {row.version}"
    return f"{row.id}: {row.action}, window {row.window}, version {row.version}"
