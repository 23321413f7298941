"""The page Try a review: the prediction for a text, and the words that contributed most to it."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from ratchet.dashboard import components
from ratchet.dashboard.colours import BLUE, ORANGE
from ratchet.dashboard.queries import api
from ratchet.dashboard.settings import DashboardSettings

TITLE = "Great value"
TEXT = "It works well and does not cost much. The battery is a little weak, but I would buy it again."


def show(settings: DashboardSettings) -> None:
    """Draw the page. It sends no request before the button is pressed."""
    components.page_header(
        "Try a review",
        "Send a review to the API: is it positive or negative, with which probability, and which words contributed "
        "most. The API counts and logs it like any other request.",
    )
    if not components.has_api(settings):
        return
    with st.form("review"):
        title = st.text_input("Title (may be empty)", TITLE, max_chars=1_000)
        text = st.text_area("Text", TEXT, max_chars=100_000, height=120)
        is_submitted = st.form_submit_button("Classify", type="primary")
    if not is_submitted:
        return
    if not text.strip():
        st.info("The text is empty. Enter a review.")
        return
    prediction = components.load_or_warn("API", api.predict_review, settings, title, text)
    if prediction:
        _prediction(prediction)


def _prediction(prediction: dict[str, Any]) -> None:
    is_positive, probability = prediction["label"] == 1, prediction["probability"]
    components.metric_row(
        {
            "Prediction": "positive" if is_positive else "negative",
            "Probability of positive": f"{probability:.1%}",
            "Model": f"version {prediction['model_version']}",
        }
    )
    explanation = prediction.get("explanation")
    if explanation is None:
        st.info("This API does not explain its predictions: update it to see the contributions of words here.")
    elif not explanation["terms"]:
        st.info("The model knows no word of this review, so no word contributed.")
    else:
        _explanation(explanation)


def _explanation(explanation: dict[str, Any]) -> None:
    """The contributions that add up to the score."""
    st.subheader("Largest contributions")
    st.caption(
        "Words and pairs of words, and how much each adds to the score. With "
        f"{explanation['others']:+.2f} from all other words and the intercept of {explanation['intercept']:+.2f} they "
        f"add up to a score of {explanation['score']:+.2f}; a score above 0 means positive."
    )
    st.altair_chart(_bars(pd.DataFrame(explanation["terms"])), width="stretch")


def _bars(table: pd.DataFrame) -> alt.Chart:
    """A bar per n-gram, in the order of the API's response: the largest contribution first."""
    towards = alt.condition(alt.datum.contribution > 0, alt.value(BLUE), alt.value(ORANGE))
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("contribution:Q", title="negative ←   → positive"),
            y=alt.Y("term:N", sort=None, title=None, axis=alt.Axis(labelLimit=300)),
            color=towards,
            tooltip=["term", alt.Tooltip("contribution", format="+.3f")],
        )
    )
    return chart
