"""Hashed n-gram counts of reviews: made once for each batch, read by every later window."""
