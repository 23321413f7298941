"""The column `predictions.experiment`. A log from before experiments has no such column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Add the column; empty means that no arm was drawn, as for every earlier row."""
    op.add_column("predictions", sa.Column("experiment", sa.Text, nullable=False, server_default=""))
