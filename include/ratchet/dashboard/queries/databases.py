"""Error messages of databases, shortened to a line that a page can show."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError


def short_message(error: SQLAlchemyError) -> str:
    """The first line of the database's message, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0].rstrip(".")
