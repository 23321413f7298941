"""The page Feedback: coverage by true labels, accuracy where they are known, champion against challenger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.colours import BLUE
from ratchet.dashboard.queries import experiment, feedback, predictions
from ratchet.dashboard.settings import DashboardSettings
from ratchet.experiments.comparison import ArmCounts, Verdict

WEEKS = 12


def show(settings: DashboardSettings) -> None:
    """Draw the page. It reads the prediction log only."""
    components.page_header(
        "Feedback",
        f"Accuracy of the predictions of the last {WEEKS} weeks, where the true label is known. Labels arrive late and "
        "not for every prediction, so check the coverage first: a few selected labels are not representative.",
    )
    since = datetime.now(UTC) - timedelta(weeks=WEEKS)
    counts = components.load_or_warn("prediction log", predictions.counts, settings, since, "week")
    if counts is None:
        return
    if counts.empty:
        components.empty_state(
            "There is no prediction in the log yet. Send the API a review, on the page Try a review, and its true "
            "label with `POST /v1/feedback`."
        )
        return
    answered = feedback.without_shadow(counts)
    _coverage(answered)
    accuracy = feedback.accuracy(answered, ["began", "model_version", "arm"])
    if accuracy.empty:
        components.empty_state(
            "There is no true label yet. Send one with `POST /v1/feedback`: the `prediction_id` and the label."
        )
        return
    _accuracy(accuracy)
    _arms(settings, since)


def _coverage(counts: pd.DataFrame) -> None:
    table = feedback.coverage(counts)
    reviews, labelled = table["reviews"].sum(), table["labelled"].sum()
    components.metric_row(
        {
            "Predictions": components.format_count(reviews),
            "With a true label": components.format_count(labelled),
            "Coverage": f"{labelled / reviews:.1%}" if reviews else "–",
        }
    )
    st.header("Coverage")
    st.altair_chart(
        alt.Chart(_by_day(table))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("week of:N", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share with a true label", axis=alt.Axis(format="%")),
            tooltip=["week of", "reviews", "labelled", alt.Tooltip("share", format=".1%")],
        ),
        width="stretch",
        height=220,
    )


def _accuracy(table: pd.DataFrame) -> None:
    st.header("Accuracy")
    st.caption("Of the predictions with a true label, by week, version and arm, with 95 % intervals (Wilson).")
    shown = _by_day(table)
    shown["model"] = [f"version {row.model_version}, {row.arm}" for row in shown.itertuples()]
    x = alt.X("week of:N", axis=alt.Axis(labelAngle=0))
    st.altair_chart(components.interval_chart(shown, x, "accuracy", "accuracy", "model"), width="stretch")


def _by_day(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{"week of": table["began"].dt.strftime("%Y-%m-%d")}).drop(columns="began")


def _arms(settings: DashboardSettings, since: datetime) -> None:
    st.header("Champion and challenger")
    st.caption(
        "Which of the two is right more often on real reviews. The verdicts stay valid however often you check them."
    )
    latest = components.load_or_warn("prediction log", experiment.latest_experiment, settings, since)
    shadow = components.load_or_warn("prediction log", experiment.latest_shadow_comparison, settings, since)
    if latest:
        versions = latest.experiment
        arms = {
            f"Champion, version {versions.champion}": latest.champion,
            f"Challenger, version {versions.challenger}": latest.challenger,
        }
        components.metric_row(
            {f"{arm}: {seen.labelled:,} labels of {seen.answered:,}": _right(seen) for arm, seen in arms.items()}
        )
        _verdict(f"The challenger answers {versions.share:.0%} of the reviews", latest.verdict)
    if shadow:
        comparison = f"Version {shadow.challenger} in shadow mode beside version {shadow.champion}"
        _verdict(f"{comparison}, {shadow.seen.rows:,} reviews with a true label", shadow.verdict)
    if not latest and not shadow:
        components.empty_state(
            "There is no challenger to compare with. On the API, `RATCHET_SERVING_CHALLENGER_SHARE` gives the "
            "challenger a share of the reviews, and `RATCHET_SERVING_SHADOW` runs it in shadow mode."
        )


def _right(seen: ArmCounts) -> str:
    """The accuracy on the reviews with a true label."""
    return f"{seen.right / seen.labelled:.2%}" if seen.labelled else "–"


def _verdict(subject: str, verdict: Verdict) -> None:
    """The conclusion about a comparison, and its checks."""
    st.markdown(f"{subject}: **{verdict.conclusion}**.")
    components.check_table([(check.name, check.passed, check.message) for check in verdict.checks])
