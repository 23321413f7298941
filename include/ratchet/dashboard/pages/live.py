"""The page on what the API does now, and what it answered of late."""

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
"""How far back, counted by what, and how the time axis says it."""
EVERY = 10  # seconds between two looks of an open page


def show(settings: DashboardSettings) -> None:
    """Draw the page; the API's counters and the prediction log stand for themselves."""
    components.intro(
        "Live",
        "How fast the API answers, how often it fails, and what it answers. A distribution that moves without a new "
        "version means that other reviews are coming in.",
    )
    st.header("The API now")
    if components.has_api(settings):
        st.fragment(_now, run_every=EVERY)(settings)
    st.header("What was answered")
    _log(settings)


def _now(settings: DashboardSettings) -> None:
    now = components.asked("API", api.look, settings)
    if now is None:
        st.session_state.pop("looks", None)
        return
    looks = st.session_state.looks = traffic.remember(st.session_state.get("looks", []), now)
    counted = traffic.between(looks)
    if counted.seconds is None:
        st.text(f"One look so far: counts since the API started. The next look, in {EVERY} seconds, gives rates.")
    else:
        st.text(f"Of the last {counted.seconds:.0f} seconds; this part looks again every {EVERY} seconds.")
    _alarms(now.values, counted)
    _traffic(counted)


def _alarms(values: prometheus.Values, counted: Traffic) -> None:
    """What a person has to look at, if there is something."""
    if prometheus.total(values, "ratchet_champion_problem"):
        st.warning("The API does not serve the ledger's champion, or cannot tell. The page Retraining says why.")
    if lost := prometheus.total(values, "ratchet_log_rows_total", outcome="lost"):
        st.error(f"{lost:,.0f} rows of the prediction log were lost since the API started: its spool is full.")
    if waiting := prometheus.total(values, "ratchet_log_spool_bytes"):
        st.warning(f"{waiting / 1e6:,.1f} MB of the prediction log wait in the API's spool: is the log's database up?")
    if shed := prometheus.total(counted.values, "ratchet_shed_total"):
        st.warning(f"{shed:,.0f} requests were shed: more came than this API can answer. Start another one.")


def _traffic(counted: Traffic) -> None:
    table = traffic.routes(counted)
    reviews = prometheus.total(counted.values, "ratchet_predictions_total")
    positive = prometheus.total(counted.values, "ratchet_predictions_total", label="1")
    predict = table[table["route"] == "/v1/predict"]
    p99 = "–" if predict.empty or predict["p99"].isna().all() else f"{predict['p99'].iloc[0]:,.1f} ms"
    rate = counted.rate(reviews)
    components.facts(
        {
            "Reviews read": components.count(reviews) if rate is None else f"{rate:,.1f} /s",
            "Failed (5xx)": "–" if predict.empty else f"{predict['failed'].iloc[0]:.2%}",
            "p99 of /v1/predict": p99,
            "Read as positive": f"{positive / reviews:.1%}" if reviews else "–",
        }
    )
    if table.empty:
        st.info("Nobody asked anything in this time.")
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
    st.caption("Quantiles are estimated from a histogram; what took longer than its last limit counts as that limit.")
    found = traffic.probabilities(counted.values)
    if found["reviews"].sum():
        st.altair_chart(_histogram(found), width="stretch", height=200)


def _histogram(table: pd.DataFrame) -> alt.Chart:
    return (
        alt.Chart(table)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title="probability of positive", axis=alt.Axis(tickCount=10, format=".1f")),
            x2="high:Q",
            y=alt.Y("reviews:Q", title="reviews"),
            tooltip=[alt.Tooltip("low", format=".2f"), alt.Tooltip("high", format=".2f"), "reviews"],
        )
    )


def _log(settings: DashboardSettings) -> None:
    span, step, format = SPANS[st.selectbox("Time", list(SPANS), width=300)]
    since = datetime.now(UTC) - span
    cells = components.asked("prediction log", predictions.cells, settings, since, step)
    if cells is None:
        return
    if cells.empty:
        components.empty(
            "No prediction was logged in this time. Ask the API something, on the page Try a review; if it answers and "
            "nothing comes up here, compare its `RATCHET_SERVING_LOG` with this one's."
        )
        return
    st.altair_chart(_volume(_named(cells), step, format), width="stretch")
    found = components.asked("prediction log", predictions.probabilities, settings, since)
    if found is not None:
        st.subheader("How sure it was")
        st.caption("Share of reviews by the probability of positive; the model is sure near 0 and 1, not near 0.5.")
        st.altair_chart(_distribution(_named(found)), width="stretch")


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(model=[f"version {row.model_version}, {row.arm}" for row in table.itertuples()])


def _volume(table: pd.DataFrame, step: str, format: str) -> alt.Chart:
    totals = table.groupby(["began", "model"], as_index=False)["reviews"].sum()
    unit = {"hour": "utcyearmonthdatehours", "day": "utcyearmonthdate"}[step]
    axis = alt.Axis(format=format, labelAngle=0, tickCount=7)
    return (
        alt.Chart(totals)
        .mark_bar()
        .encode(
            x=alt.X(f"{unit}(began):T", title=f"reviews by {step}, UTC", axis=axis),
            y=alt.Y("reviews:Q", title="reviews"),
            color=_colour(totals, "square"),
            tooltip=[alt.Tooltip("utcyearmonthdatehours(began):T", title="from, UTC"), "model", "reviews"],
        )
    )


def _distribution(table: pd.DataFrame) -> alt.Chart:
    tenths = alt.Axis(tickCount=10, format=".1f")
    between = [alt.Tooltip(name, format=".2f") for name in ("low", "high")]
    return (
        alt.Chart(predictions.shares(table, "model"))
        .mark_line(point=True)
        .encode(
            x=alt.X("middle:Q", title="probability of positive", scale=alt.Scale(domain=[0, 1]), axis=tenths),
            y=alt.Y("share:Q", title="share of reviews", axis=alt.Axis(format=".0%")),
            color=_colour(table, "circle"),
            tooltip=["model", *between, "reviews", alt.Tooltip("share", format=".1%")],
        )
    )


def _colour(table: pd.DataFrame, symbol: str) -> alt.Color:
    return components.series("model", sorted(table["model"].unique()), symbol)
