"""The page Costs: time and memory of each week's jobs, and their estimated price on Fargate."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.queries import costs, store
from ratchet.dashboard.settings import DashboardSettings
from ratchet.deployment import prices


def show(settings: DashboardSettings) -> None:
    """Draw the page. It reads the manifests in the store only."""
    components.page_header(
        "Costs",
        "Run time and peak memory of each week's jobs, from their manifests, and an estimate of what they would cost "
        "on Fargate.",
    )
    manifests = components.load_or_warn("store", store.job_manifests, settings)
    if manifests is None:
        return
    if not manifests:
        components.empty_state(
            "No job has finished yet. Begin with `ratchet ingest`, or trigger the DAG `review_sentiment`."
        )
        return
    jobs = costs.job_table(manifests)
    weeks = components.load_or_warn("price", costs.cost_by_week, jobs)
    if weeks is not None:
        _weeks(weeks, jobs)
    _jobs(jobs)


def _weeks(weeks: pd.DataFrame, jobs: pd.DataFrame) -> None:
    last = weeks.iloc[-1]
    name = "the seed" if last["week"] == costs.SEED else f"week {last['week']}"
    components.metric_row(
        {
            "Total cost": f"${weeks['dollars'].sum():.2f}",
            f"Latest, {name}": f"${last['dollars']:.3f}",
            "Peak memory of a job": f"{weeks['gib'].max():.2f} GiB",
            "Total run time": f"{weeks['seconds'].sum():,.0f} s",
        }
    )
    st.header("By week")
    order = weeks["week"].tolist()
    st.altair_chart(_bars(costs.seconds_by_job(jobs), order), width="stretch")
    st.dataframe(
        weeks,
        hide_index=True,
        column_config={
            "seconds": st.column_config.NumberColumn(format="%.1f"),
            "gib": st.column_config.NumberColumn("peak GiB", format="%.2f"),
            "largest_job": st.column_config.TextColumn("largest job"),
            "dollars": st.column_config.NumberColumn(format="$%.3f"),
        },
    )
    gib = prices.task_gib(weeks["gib"].max())
    st.caption(
        f"This is an estimate, not a bill: one on-demand task per job, with {prices.VCPUS} vCPUs and {gib} GiB, the "
        f"smallest size that fits every job, at {prices.TERMS}. Not included: start of the tasks, import of libraries, "
        "failed and repeated tries, Airflow, Postgres, S3 and the API.".replace("$", "\\$")
    )


def _bars(table: pd.DataFrame, order: list[str]) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("week:N", sort=order, title="week", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("seconds:Q", title="run time, seconds"),
            color=components.color_by("job", [job for job in costs.ORDER if job in set(table["job"])], "square"),
            tooltip=["week", "job", alt.Tooltip("seconds", format=",.1f")],
        )
    )
    return chart


def _jobs(jobs: pd.DataFrame) -> None:
    with st.expander("All jobs"):
        st.dataframe(
            jobs.iloc[::-1],
            hide_index=True,
            column_config={
                "seconds": st.column_config.NumberColumn(format="%.1f"),
                "gib": st.column_config.NumberColumn("peak GiB", format="%.2f"),
            },
        )
