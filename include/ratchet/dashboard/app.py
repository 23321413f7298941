"""The script that Streamlit runs for every page view; `ratchet dashboard` starts it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ratchet.dashboard.settings import DashboardSettings
from ratchet.dashboard.views import costs, decisions, feedback, live, models, retraining, review

# By section: the module of a page, its title, its icon. The module's name is its path; the first page is at /.
MENU = {
    "Models": [
        (retraining, "Retraining", "trending_up"),
        (models, "Models", "compare_arrows"),
        (decisions, "Decisions", "gavel"),
    ],
    "Serving": [
        (review, "Try a review", "rate_review"),
        (live, "Live", "monitor_heart"),
        (feedback, "Feedback", "fact_check"),
    ],
    "Operations": [(costs, "Costs", "payments")],
}


def main() -> None:
    """Draw the menu and the selected page."""
    st.set_page_config(page_title="Ratchet", layout="wide", initial_sidebar_state=210)
    settings = DashboardSettings()
    pages = {
        section: [
            st.Page(
                partial(module.show, settings),
                title=title,
                icon=f":material/{icon}:",
                url_path=module.__name__.rpartition(".")[2],
                default=module is retraining,
            )
            for module, title, icon in entries
        ]
        for section, entries in MENU.items()
    }
    st.navigation(pages).run()


if __name__ == "__main__":
    main()
