"""Postgres, MLflow, AWS stand-ins and the API as child processes."""
