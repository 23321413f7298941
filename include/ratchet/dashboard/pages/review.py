"""The page to try a review: how the champion reads it, and which words weighed."""

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
    """Draw the page; nothing is asked before somebody presses the button."""
    components.intro(
        "Try a review",
        "Ask the API how it reads a review: positive or negative, how sure it is, and which words weighed. It counts "
        "and logs this like any caller's.",
    )
    if not components.has_api(settings):
        return
    with st.form("review"):
        title = st.text_input("Title (may be empty)", TITLE, max_chars=1_000)
        text = st.text_area("Text", TEXT, max_chars=100_000, height=120)
        asked = st.form_submit_button("Read it", type="primary")
    if not asked:
        return
    if not text.strip():
        st.info("There is no text to read. Write some.")
        return
    answer = components.asked("API", api.read, settings, title, text)
    if answer:
        _answer(answer)


def _answer(answer: dict[str, Any]) -> None:
    positive, probability = answer["label"] == 1, answer["probability"]
    components.facts(
        {
            "It reads as": "positive" if positive else "negative",
            "Probability of positive": f"{probability:.1%}",
            "Answered by": f"version {answer['model_version']}",
        }
    )
    explanation = answer.get("explanation")
    if explanation is None:
        st.info("This API cannot tell which words weighed: update it to see them here.")
    elif not explanation["terms"]:
        st.info("No word of this review is known to the model, so none weighed.")
    else:
        _explanation(explanation)


def _explanation(found: dict[str, Any]) -> None:
    """The score in its parts, which add up to it."""
    st.subheader("What weighed most")
    st.caption(
        f"Words and pairs of words, and how far each pulled. With {found['others']:+.2f} from all others and "
        f"{found['intercept']:+.2f} from where the model starts they add up to a score of {found['score']:+.2f}; above "
        "0 it reads as positive."
    )
    st.altair_chart(_bars(pd.DataFrame(found["terms"])), width="stretch")


def _bars(table: pd.DataFrame) -> alt.Chart:
    """A bar per n-gram, in the order in which the API gives them: what weighed most first."""
    towards = alt.condition(alt.datum.contribution > 0, alt.value(BLUE), alt.value(ORANGE))
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("contribution:Q", title="negative ←   → positive"),
            y=alt.Y("term:N", sort=None, title=None, axis=alt.Axis(labelLimit=300)),
            color=towards,
            tooltip=["term", alt.Tooltip("contribution", format="+.3f")],
        )
    )
