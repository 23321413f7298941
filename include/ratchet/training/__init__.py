"""Fits one candidate on the counts of a window and logs the run to MLflow."""
