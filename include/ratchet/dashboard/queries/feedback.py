"""Coverage by true labels, and accuracy where they are known. Pure functions of `predictions.counts`."""

from __future__ import annotations

import pandas as pd

from ratchet.dashboard.queries import intervals

SHADOW = "shadow"


def without_shadow(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts without the arm `shadow`, whose predictions no caller received."""
    return counts[counts["arm"] != SHADOW]


def coverage(counts: pd.DataFrame) -> pd.DataFrame:
    """A row per time step: `began`, `reviews`, `labelled` (reviews with a true label), `share` (labelled / reviews)."""
    table = _sums(counts, ["began"])
    return table.assign(share=table["labelled"] / table["reviews"])[["began", "reviews", "labelled", "share"]]


def accuracy(counts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row per group with true labels: the columns `by`, `labelled`, `correct`, `accuracy`, `low`, `high`.

    `low` to `high` is Wilson's 95 % interval of the accuracy.
    """
    table = _sums(counts, by)
    table = table[table["labelled"] > 0].reset_index(drop=True)
    limits = [intervals.wilson(row.correct, row.labelled) for row in table.itertuples()]
    table["accuracy"] = table["correct"] / table["labelled"]
    table["low"], table["high"] = [low for low, _ in limits], [high for _, high in limits]
    return table[[*by, "labelled", "correct", "accuracy", "low", "high"]]


def _sums(counts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Per group: the numbers of `reviews`, of those `labelled`, and of those `correct`."""
    is_labelled = counts["true_label"].notna()
    is_correct = is_labelled & (counts["true_label"] == counts["label"]).fillna(False)
    table = counts.assign(
        labelled=counts["reviews"].where(is_labelled, 0), correct=counts["reviews"].where(is_correct, 0)
    )
    return table.groupby(by, as_index=False)[["reviews", "labelled", "correct"]].sum()
