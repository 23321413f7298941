"""The page Live: the API's traffic now, and its recent predictions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.colours import BLUE
from ratchet.dashboard.queries import api, predictions, prometheus, traffic
from ratchet.dashboard.queries.traffic import Traffic
from ratchet.dashboard.settings import DashboardSettings

SPANS = {
    "last 24 hours": (timedelta(days=1), "hour", "%H:%M"),
    "last 7 days": (timedelta(days=7), "hour", "%d %b"),
    "last 30 days": (timedelta(days=30), "day", "%d %b"),
}
"""For each name: the time span, the step of counting, and the format of the time axis."""
REFRESH_SECONDS = 10  # between two scrapes while the page is open


def show(settings: DashboardSettings) -> None:
    """Draw the page. The API's counters and the prediction log are independent: each is shown without the other."""
    components.page_header(
        "Live",
        "Latency, errors and predictions of the API. If the distribution of predictions changes while the version "
        "stays the same, the incoming reviews have changed.",
    )
    st.header("The API now")
    if components.has_api(settings):
        st.fragment(_now, run_every=REFRESH_SECONDS)(settings)
    st.header("Predictions")
    _log(settings)


def _now(settings: DashboardSettings) -> None:
    now = components.load_or_warn("API", api.scrape_metrics, settings)
    if now is None:
        st.session_state.pop("snapshots", None)
        return
    snapshots = st.session_state.snapshots = traffic.add_snapshot(st.session_state.get("snapshots", []), now)
    counted = traffic.measure(snapshots)
    if counted.seconds is None:
        st.text(f"First measurement: counts since the API started. Rates follow in {REFRESH_SECONDS} seconds.")
    else:
        st.text(f"In the last {counted.seconds:.0f} seconds; refreshed every {REFRESH_SECONDS} seconds.")
    _alarms(now.values, counted)
    _traffic(counted)


def _alarms(values: prometheus.Values, counted: Traffic) -> None:
    """Warnings about conditions that need a person."""
    if prometheus.total(values, "ratchet_champion_problem"):
        st.warning(
            "The API does not serve the ledger's champion, or cannot read the ledger. The page Retraining shows why."
        )
    if lost := prometheus.total(values, "ratchet_log_rows_total", outcome="lost"):
        st.error(f"{lost:,.0f} rows of the prediction log were lost since the API started: its spool is full.")
    if waiting := prometheus.total(values, "ratchet_log_spool_bytes"):
        st.warning(f"{waiting / 1e6:,.1f} MB of the prediction log wait in the API's spool. Is the log's database up?")
    if shed := prometheus.total(counted.values, "ratchet_shed_total"):
        st.warning(f"{shed:,.0f} requests were refused because the API is overloaded. Start another instance.")


def _traffic(counted: Traffic) -> None:
    table = traffic.routes(counted)
    reviews = prometheus.total(counted.values, "ratchet_predictions_total")
    positive = prometheus.total(counted.values, "ratchet_predictions_total", label="1")
    predict = table[table["route"] == "/v1/predict"]
    p99 = "–" if predict.empty or predict["p99"].isna().all() else f"{predict['p99'].iloc[0]:,.1f} ms"
    rate = counted.rate(reviews)
    components.metric_row(
        {
            "Reviews classified": components.format_count(reviews) if rate is None else f"{rate:,.1f} /s",
            "Failed (5xx)": "–" if predict.empty else f"{predict['failed'].iloc[0]:.2%}",
            "p99 of /v1/predict": p99,
            "Predicted positive": f"{positive / reviews:.1%}" if reviews else "–",
        }
    )
    if table.empty:
        st.info("There were no requests in this time.")
        return
    st.dataframe(
        table.assign(refused=100 * table["refused"], failed=100 * table["failed"]),
        hide_index=True,
        column_config={
            "requests": st.column_config.NumberColumn(format="localized"),
            "rate": st.column_config.NumberColumn("per second", format="%.2f"),
            "refused": st.column_config.NumberColumn("refused (4xx)", format="%.2f %%"),
            "failed": st.column_config.NumberColumn("failed (5xx)", format="%.2f %%"),
            **{name: st.column_config.NumberColumn(f"{name}, ms", format="%.1f") for name in ("p50", "p95", "p99")},
        },
    )
    st.caption("Quantiles are estimated from a histogram; a time above its last limit counts as that limit.")
    histogram = traffic.probability_histogram(counted.values)
    if histogram["reviews"].sum():
        st.altair_chart(_histogram(histogram), width="stretch", height=200)


def _histogram(table: pd.DataFrame) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title="probability of positive", axis=alt.Axis(tickCount=10, format=".1f")),
            x2="high:Q",
            y=alt.Y("reviews:Q", title="reviews"),
            tooltip=[alt.Tooltip("low", format=".2f"), alt.Tooltip("high", format=".2f"), "reviews"],
        )
    )
    return chart


def _log(settings: DashboardSettings) -> None:
    span, step, time_format = SPANS[st.selectbox("Time", list(SPANS), width=300)]
    since = datetime.now(UTC) - span
    counts = components.load_or_warn("prediction log", predictions.counts, settings, since, step)
    if counts is None:
        return
    if counts.empty:
        components.empty_state(
            "There is no prediction in the log for this time. Send the API a review, on the page Try a review. If it "
            "answers and nothing appears here, check that `RATCHET_SERVING_LOG` is the same on the API and here."
        )
        return
    st.altair_chart(_volume(_named(counts), step, time_format), width="stretch")
    histogram = components.load_or_warn("prediction log", predictions.probability_histogram, settings, since)
    if histogram is not None:
        st.subheader("Probabilities")
        st.caption(
            "Share of reviews by their probability of being positive. The model is certain near 0 and 1, and uncertain "
            "near 0.5."
        )
        st.altair_chart(_distribution(_named(histogram)), width="stretch")


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=[f"version {row.model_version}, {row.arm}" for row in table.itertuples()])


def _volume(table: pd.DataFrame, step: str, time_format: str) -> alt.Chart:
    totals = table.groupby(["began", "model"], as_index=False)["reviews"].sum()
    unit = {"hour": "utcyearmonthdatehours", "day": "utcyearmonthdate"}[step]
    axis = alt.Axis(format=time_format, labelAngle=0, tickCount=7)
    chart: alt.Chart = (
        alt.Chart(totals)
        .mark_bar()
        .encode(
            x=alt.X(f"{unit}(began):T", title=f"reviews by {step}, UTC", axis=axis),
            y=alt.Y("reviews:Q", title="reviews"),
            color=_color(totals, "square"),
            tooltip=[alt.Tooltip("utcyearmonthdatehours(began):T", title="from, UTC"), "model", "reviews"],
        )
    )
    return chart


def _distribution(table: pd.DataFrame) -> alt.Chart:
    tenths = alt.Axis(tickCount=10, format=".1f")
    between = [alt.Tooltip(name, format=".2f") for name in ("low", "high")]
    chart: alt.Chart = (
        alt.Chart(predictions.histogram_shares(table, "model"))
        .mark_line(point=True)
        .encode(
            x=alt.X("middle:Q", title="probability of positive", scale=alt.Scale(domain=[0, 1]), axis=tenths),
            y=alt.Y("share:Q", title="share of reviews", axis=alt.Axis(format=".0%")),
            color=_color(table, "circle"),
            tooltip=["model", *between, "reviews", alt.Tooltip("share", format=".1%")],
        )
    )
    return chart


def _color(table: pd.DataFrame, symbol: str) -> alt.Color:
    return components.color_by("model", sorted(table["model"].unique()), symbol)
