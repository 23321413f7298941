"""The table `alerts`, where Airflow's callbacks record published alerts. Before, the first alert created it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Create the table, unless a callback has created it."""
    op.create_table(
        "alerts",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("told_at", sa.Text, nullable=False),
        if_not_exists=True,
    )
