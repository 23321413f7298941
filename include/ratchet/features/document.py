"""What a model reads, apart from the schemas, so that serving needs no Arrow (150 MB)."""

from __future__ import annotations


def document(title: str, text: str) -> str:
    """What a model reads of a review."""
    return f"{title} {text}" if title else text
