"""Ratchet on one machine: Postgres, AWS and MLflow as local processes, or the production images under docker compose.

Not part of the production wheel. The entry point is `python -m local`.
"""
