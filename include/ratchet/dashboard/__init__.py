"""The dashboard: Streamlit pages over read-only queries, which show what happened and why."""
