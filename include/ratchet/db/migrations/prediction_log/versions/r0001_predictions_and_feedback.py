"""The append-only tables `predictions` and `feedback`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db.append_only import guards

revision, down_revision = "0001", None


def upgrade() -> None:
    """Create both tables, the index by time, and the triggers."""
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.Text, primary_key=True),
        sa.Column("arm", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("title_length", sa.Integer, nullable=False),
        sa.Column("text_length", sa.Integer, nullable=False),
        sa.Column("terms", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("text", sa.Text),
    )
    op.create_index("predictions_at", "predictions", ["at"], postgresql_using="brin")
    op.create_table(
        "feedback",
        sa.Column("prediction_id", sa.Text, primary_key=True),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    for statement in guards(op.get_bind().dialect.name, ["predictions", "feedback"], "prediction log"):
        op.execute(statement)
