"""Ratchet: weekly retraining that only moves forward. One command of the `ratchet` CLI is one job."""
