"""Schemas and migrations of the ledger and the prediction log."""
