"""Hashed n-gram counts of reviews."""
