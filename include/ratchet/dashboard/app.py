"""The script that Streamlit runs for every look at the dashboard; `ratchet dashboard` starts it."""

from __future__ import annotations

import streamlit as st

from ratchet.dashboard import retraining
from ratchet.dashboard.settings import DashboardSettings


def main() -> None:
    st.set_page_config(page_title="Ratchet", layout="wide")
    retraining.show(DashboardSettings())


if __name__ == "__main__":
    main()
