"""The text that a model reads of a review; apart from the schemas, so that serving needs no Arrow (150 MB)."""

from __future__ import annotations


def document(title: str, text: str) -> str:
    """Title and text, joined by a blank; the text alone if the title is empty."""
    return f"{title} {text}" if title else text
