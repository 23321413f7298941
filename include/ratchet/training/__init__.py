"""Fit one candidate on the counts of a window, and log the run to MLflow."""
