"""What true labels say about the answers: coverage and accuracy. Pure, over the cells of `predictions`."""

from __future__ import annotations

import pandas as pd

from ratchet.dashboard.queries import intervals

SHADOW = "shadow"


def answered(cells: pd.DataFrame) -> pd.DataFrame:
    """Without what a shadow thought, which nobody was told."""
    return cells[cells["arm"] != SHADOW]


def coverage(cells: pd.DataFrame) -> pd.DataFrame:
    """A row per step of time: `began`, `reviews`, `known` (with a true label), `share`."""
    table = _counted(cells, ["began"])
    return table.assign(share=table["known"] / table["reviews"])[["began", "reviews", "known", "share"]]


def accuracy(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row per group with true labels: the groups, `known`, `right`, `accuracy`, and its interval `low` to `high`."""
    table = _counted(cells, by)
    table = table[table["known"] > 0].reset_index(drop=True)
    limits = [intervals.wilson(row.right, row.known) for row in table.itertuples()]
    table["accuracy"] = table["right"] / table["known"]
    table["low"], table["high"] = [low for low, _ in limits], [high for _, high in limits]
    return table[[*by, "known", "right", "accuracy", "low", "high"]]


def _counted(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Per group: `reviews`, `known` and `right`, all counts."""
    known = cells["truth"].notna()
    right = known & (cells["truth"] == cells["label"]).fillna(False)
    counts = cells.assign(known=cells["reviews"].where(known, 0), right=cells["reviews"].where(right, 0))
    return counts.groupby(by, as_index=False)[["reviews", "known", "right"]].sum()
