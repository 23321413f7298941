"""The tables `champions` and `decisions`; decisions are append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db.append_only import guards

revision, down_revision = "0001", None


def upgrade() -> None:
    """Create both tables and the triggers."""
    op.create_table(
        "champions",
        sa.Column("registered_model", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("registered_model", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("entry", sa.JSON, nullable=False),
        sa.UniqueConstraint("registered_model", "subject"),
    )
    for statement in guards(op.get_bind().dialect.name, ["decisions"], "ledger"):
        op.execute(statement)
