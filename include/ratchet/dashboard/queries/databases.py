"""What databases say when they refuse, in a line that a page can show."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError


def said(error: SQLAlchemyError) -> str:
    """The database's own words: the first line, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0].rstrip(".")
