"""What the prediction log knows: how many answers of which kind were given when, and which true labels came back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import pandas as pd
import sqlalchemy as sa

from ratchet.dashboard.queries.log import connected, has_log
from ratchet.dashboard.settings import DashboardSettings
from ratchet.prediction_log.sinks.database import feedback, predictions

STEPS = {"hour": (3600, 0), "day": (86_400, 0), "week": (604_800, 345_600)}
"""Seconds, and when the first one began on the Unix clock: 1970-01-05 was a Monday."""
BINS = 20
CELLS = ["began", "model_version", "arm", "label", "truth", "reviews"]


def cells(settings: DashboardSettings, since: datetime, step: Literal["hour", "day", "week"]) -> pd.DataFrame:
    """Counts of reviews by time, version, arm, answer and truth; `truth` is missing where no feedback came.

    `began` is the UTC start of the step. Raises ServiceUnavailable or ConfigurationError where the log has no answer.
    """
    seconds, first = STEPS[step]
    began = sa.func.floor((sa.extract("epoch", predictions.c.at) - first) / float(seconds)) * seconds + first
    known = predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id)
    described = sa.select(
        began.label("began"),
        predictions.c.model_version,
        predictions.c.arm,
        predictions.c.label,
        feedback.c.label.label("truth"),
    ).select_from(known)
    table = pd.DataFrame(_counted(settings, since, described), columns=CELLS)
    table = table.astype({"truth": "Int64", "reviews": "int64"})
    table["began"] = pd.to_datetime(table["began"].astype(float), unit="s", utc=True)
    return table.sort_values(CELLS[:-1], ignore_index=True)


def probabilities(settings: DashboardSettings, since: datetime) -> pd.DataFrame:
    """Counts of reviews by probability of label 1, twenty bins: `low`, `high`, `model_version`, `arm`, `reviews`."""
    number = sa.func.floor(predictions.c.probability * BINS)
    described = sa.select(
        sa.case((number >= BINS, BINS - 1), else_=number).label("bin"),
        predictions.c.model_version,
        predictions.c.arm,
    )
    table = pd.DataFrame(_counted(settings, since, described), columns=["low", "model_version", "arm", "reviews"])
    low = table["low"].astype(float) / BINS
    return table.assign(low=low, high=low + 1 / BINS)


def shares(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """`probabilities` by group, empty bins included: `low`, `middle`, `high`, the group, `reviews`, `share`."""
    sums = table.assign(bin=(table["low"] * BINS).round().astype(int)).groupby(["bin", by])["reviews"].sum()
    full = sums.unstack(fill_value=0).reindex(range(BINS), fill_value=0).rename_axis("bin")
    found = full.melt(ignore_index=False, value_name="reviews").reset_index()
    share = found["reviews"] / found.groupby(by)["reviews"].transform("sum")
    low = found["bin"] / BINS
    return found.assign(low=low, middle=low + 0.5 / BINS, high=low + 1 / BINS, share=share)


def _counted(settings: DashboardSettings, since: datetime, described: sa.Select) -> list[sa.Row]:
    """How many predictions have the same description; none where nothing was ever logged."""
    rows = described.where(predictions.c.at >= since).subquery()
    with connected(settings) as connection:
        if not has_log(connection):
            return []
        return list(connection.execute(sa.select(*rows.c, sa.func.count()).group_by(*rows.c)))
