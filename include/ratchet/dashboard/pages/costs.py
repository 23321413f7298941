"""The page on costs: what each week took, and what that is in dollars on Fargate."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import costs, store
from ratchet.dashboard.settings import DashboardSettings
from ratchet.deployment import prices


def show(settings: DashboardSettings) -> None:
    """Draw the page from the manifests in the store alone."""
    components.intro(
        "Costs",
        "What each week took, as the jobs themselves wrote it down: seconds of work, the most memory, and what that "
        "would cost on Fargate.",
    )
    made = components.asked("store", store.jobs, settings)
    if made is None:
        return
    if not made:
        components.empty(
            "No job has finished yet, so nothing was spent. Begin with `ratchet ingest`, or trigger the DAG "
            "`review_sentiment`."
        )
        return
    jobs = costs.jobs(made)
    weeks = components.asked("price", costs.weeks, jobs)
    if weeks is not None:
        _weeks(weeks, jobs)
    _jobs(jobs)


def _weeks(weeks: pd.DataFrame, jobs: pd.DataFrame) -> None:
    last = weeks.iloc[-1]
    name = "the seed" if last["week"] == costs.SEED else f"week {last['week']}"
    components.facts(
        {
            "All so far": f"${weeks['dollars'].sum():.2f}",
            f"Last, {name}": f"${last['dollars']:.3f}",
            "Most memory of any job": f"{weeks['gib'].max():.2f} GiB",
            "Work": f"{weeks['seconds'].sum():,.0f} s",
        }
    )
    st.header("By week")
    order = weeks["week"].tolist()
    st.altair_chart(_bars(costs.by_job(jobs), order), width="stretch")
    st.dataframe(
        weeks,
        hide_index=True,
        column_config={
            "seconds": st.column_config.NumberColumn(format="%.1f"),
            "gib": st.column_config.NumberColumn("most GiB", format="%.2f"),
            "of": st.column_config.TextColumn("of job"),
            "dollars": st.column_config.NumberColumn(format="$%.3f"),
        },
    )
    gib = prices.task_gib(weeks["gib"].max())
    st.caption(
        f"An assumption, no bill: one task a job, on demand, with {prices.VCPUS} vCPUs and {gib} GiB, the least that "
        f"holds every job, at {prices.TERMS}. Starting a task and importing libraries are not in it, nor are tries "
        "that failed or were done again, Airflow, Postgres, S3 and the API.".replace("$", "\\$")
    )


def _bars(table: pd.DataFrame, order: list[str]) -> alt.Chart:
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("week:N", sort=order, title="week", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("seconds:Q", title="seconds of work"),
            color=components.series("job", [job for job in costs.ORDER if job in set(table["job"])], "square"),
            tooltip=["week", "job", alt.Tooltip("seconds", format=",.1f")],
        )
    )


def _jobs(jobs: pd.DataFrame) -> None:
    with st.expander("Every job"):
        st.dataframe(
            jobs.iloc[::-1],
            hide_index=True,
            column_config={
                "seconds": st.column_config.NumberColumn(format="%.1f"),
                "gib": st.column_config.NumberColumn("GiB", format="%.2f"),
            },
        )
