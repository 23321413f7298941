"""Counts of the rows in the prediction log: predictions by time and probability, and the true labels of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import pandas as pd
import sqlalchemy as sa

from ratchet.dashboard.queries.log import has_log, read_only_connection
from ratchet.dashboard.settings import DashboardSettings
from ratchet.prediction_log.sinks.database import feedback, predictions

STEPS = {"hour": (3600, 0), "day": (86_400, 0), "week": (604_800, 345_600)}
"""Length of a step, and start of the first one, in seconds of the Unix clock: 1970-01-05 was a Monday."""
BINS = 20
COLUMNS = ["began", "model_version", "arm", "label", "true_label", "reviews"]


def counts(settings: DashboardSettings, since: datetime, step: Literal["hour", "day", "week"]) -> pd.DataFrame:
    """The number of `reviews` by `began`, `model_version`, `arm`, `label` and `true_label`, a row per combination.

    `began` is the UTC start of the step; `true_label` is missing where no feedback came. Raises ServiceUnavailable or
    ConfigurationError if the log cannot be read.
    """
    seconds, first = STEPS[step]
    began = sa.func.floor((sa.extract("epoch", predictions.c.at) - first) / float(seconds)) * seconds + first
    with_feedback = predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id)
    groups = sa.select(
        began.label("began"),
        predictions.c.model_version,
        predictions.c.arm,
        predictions.c.label,
        feedback.c.label.label("true_label"),
    ).select_from(with_feedback)
    table = pd.DataFrame(_count(settings, since, groups), columns=COLUMNS)
    table = table.astype({"true_label": "Int64", "reviews": "int64"})
    table["began"] = pd.to_datetime(table["began"].astype(float), unit="s", utc=True)
    return table.sort_values(COLUMNS[:-1], ignore_index=True)


def probability_histogram(settings: DashboardSettings, since: datetime) -> pd.DataFrame:
    """The number of `reviews` by probability of label 1 in 20 bins: `low`, `high`, `model_version`, `arm`, `reviews`.

    Raises ServiceUnavailable or ConfigurationError if the log cannot be read.
    """
    number = sa.func.floor(predictions.c.probability * BINS)
    groups = sa.select(
        sa.case((number >= BINS, BINS - 1), else_=number).label("bin"),
        predictions.c.model_version,
        predictions.c.arm,
    )
    table = pd.DataFrame(_count(settings, since, groups), columns=["low", "model_version", "arm", "reviews"])
    low = table["low"].astype(float) / BINS
    return table.assign(low=low, high=low + 1 / BINS)


def histogram_shares(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """`probability_histogram` by one column, empty bins included: `low`, `middle`, `high`, `by`, `reviews`, `share`.

    The shares of each group add up to 1.
    """
    sums = table.assign(bin=(table["low"] * BINS).round().astype(int)).groupby(["bin", by])["reviews"].sum()
    full = sums.unstack(fill_value=0).reindex(range(BINS), fill_value=0).rename_axis("bin")
    shares = full.melt(ignore_index=False, value_name="reviews").reset_index()
    share = shares["reviews"] / shares.groupby(by)["reviews"].transform("sum")
    low = shares["bin"] / BINS
    return shares.assign(low=low, middle=low + 0.5 / BINS, high=low + 1 / BINS, share=share)


def _count(settings: DashboardSettings, since: datetime, groups: sa.Select[Any]) -> list[sa.Row[Any]]:
    """The groups and their number of predictions since then; an empty list if nothing was ever logged."""
    rows = groups.where(predictions.c.at >= since).subquery()
    with read_only_connection(settings) as connection:
        if not has_log(connection):
            return []
        return list(connection.execute(sa.select(*rows.c, sa.func.count()).group_by(*rows.c)))
