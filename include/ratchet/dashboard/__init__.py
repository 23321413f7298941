"""What happened and why, for people with a browser: Streamlit pages over read-only queries."""
