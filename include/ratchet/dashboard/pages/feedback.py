"""The page on feedback: how many answers have a true label, and how many of those were right."""

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
    """Draw the page from the prediction log alone."""
    components.intro(
        "Feedback",
        f"How good the answers of the last {WEEKS} weeks turned out to be, where a true label came back. Labels come "
        "late and not for all, so read the coverage first: a few labels that somebody chose to send say little.",
    )
    since = datetime.now(UTC) - timedelta(weeks=WEEKS)
    cells = components.asked("prediction log", predictions.cells, settings, since, "week")
    if cells is None:
        return
    if cells.empty:
        components.empty(
            "No prediction was logged yet. Ask the API something, on the page Try a review, and send what was true "
            "with `POST /v1/feedback`."
        )
        return
    answered = feedback.answered(cells)
    _coverage(answered)
    accuracy = feedback.accuracy(answered, ["began", "model_version", "arm"])
    if accuracy.empty:
        components.empty(
            "No true label came back yet. Send one with `POST /v1/feedback`: the `prediction_id` and the label."
        )
        return
    _accuracy(accuracy)
    _arms(settings, since)


def _coverage(cells: pd.DataFrame) -> None:
    table = feedback.coverage(cells)
    reviews, known = table["reviews"].sum(), table["known"].sum()
    components.facts(
        {
            "Answered": components.count(reviews),
            "With a true label": components.count(known),
            "Coverage": f"{known / reviews:.1%}" if reviews else "–",
        }
    )
    st.header("Coverage")
    st.altair_chart(
        alt.Chart(_by_day(table))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("week of:N", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="with a true label", axis=alt.Axis(format="%")),
            tooltip=["week of", "reviews", "known", alt.Tooltip("share", format=".1%")],
        ),
        width="stretch",
        height=220,
    )


def _accuracy(table: pd.DataFrame) -> None:
    st.header("Accuracy")
    st.caption("Of the answers with a true label, by week, version and arm; the bars are 95 % intervals (Wilson).")
    shown = _by_day(table)
    shown["model"] = [f"version {row.model_version}, {row.arm}" for row in shown.itertuples()]
    x = alt.X("week of:N", axis=alt.Axis(labelAngle=0))
    st.altair_chart(components.ranges(shown, x, "accuracy", "accuracy", "model"), width="stretch")


def _by_day(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{"week of": table["began"].dt.strftime("%Y-%m-%d")}).drop(columns="began")


def _arms(settings: DashboardSettings, since: datetime) -> None:
    st.header("Champion and challenger")
    st.caption("Whoever answers better on real reviews. These verdicts hold however often anybody looks.")
    found = components.asked("prediction log", experiment.drawn, settings, since)
    shade = components.asked("prediction log", experiment.shadowed, settings, since)
    if found:
        versions = found.experiment
        arms = {
            f"Champion, version {versions.champion}": found.champion,
            f"Challenger, version {versions.challenger}": found.challenger,
        }
        components.facts(
            {f"{arm}: {seen.labelled:,} labels of {seen.answered:,}": _right(seen) for arm, seen in arms.items()}
        )
        _verdict(f"The challenger answers {versions.share:.0%} of the reviews", found.verdict)
    if shade:
        about = f"Version {shade.challenger} reads along unheard with version {shade.champion}"
        _verdict(f"{about}, {shade.seen.rows:,} reviews with a true label", shade.verdict)
    if not found and not shade:
        components.empty(
            "Only the champion reads, so there is nothing to compare. `RATCHET_SERVING_CHALLENGER_SHARE` on the API "
            "gives the challenger a share of the reviews, `RATCHET_SERVING_SHADOW` lets it read along unheard."
        )


def _right(seen: ArmCounts) -> str:
    """The share of right answers among those with a true label."""
    return f"{seen.right / seen.labelled:.2%}" if seen.labelled else "–"


def _verdict(about: str, verdict: Verdict) -> None:
    """The conclusion, and the checks that it rests on."""
    st.markdown(f"{about}: **{verdict.conclusion}**.")
    components.checks([(check.name, check.passed, check.says) for check in verdict.checks])
