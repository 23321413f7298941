"""Model versions side by side, from the tables of counts that the ledger keeps as evidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ratchet.dashboard.queries import intervals
from ratchet.dashboard.queries.ledger import measured
from ratchet.ledger.store import Decision
from ratchet.promotion.gate import macro_f1

EVERYTHING = "all of the test set"


def judged(rows: list[Decision]) -> dict[int, Decision]:
    """By version, the last decision whose evidence has counts; oldest version first."""
    found = {row.version: row for row in rows if row.version is not None and _counted(row)}
    return dict(sorted(found.items()))


def _counted(row: Decision) -> bool:
    return bool(np.sum(measured(row).get("outcomes", 0)))


def versions(rows: list[Decision]) -> pd.DataFrame:
    """A row per version and figure: `version`, `window`, `candidate`, `figure`, `value`, `low`, `high`, `test`, `rows`.

    `test` is the digest of the test set, shortened: only versions that share it can be compared.
    """
    found = []
    for version, row in judged(rows).items():
        evidence = measured(row)
        table = np.array(evidence["outcomes"])
        for figure, value, low, high in _figures(table):
            of = evidence.get("test_digest", "")[:8], int(table.sum())
            found.append((version, row.window, row.candidate, figure, value, low, high, *of))
    columns = ["version", "window", "candidate", "figure", "value", "low", "high", "test", "rows"]
    return pd.DataFrame(found, columns=columns)


def _figures(table: np.ndarray) -> Iterator[tuple[str, float, float, float]]:
    right, rows = int(table[0, :, 0].sum() + table[1, :, 1].sum()), int(table.sum())
    yield "macro-F1", macro_f1(table, champion=False), *intervals.bootstrap(table, champion=False)
    yield "accuracy", right / rows, *intervals.wilson(right, rows)


def wide(figures: pd.DataFrame) -> pd.DataFrame:
    """`versions` with one row per version, newest first, and intervals as text, as people read them."""
    shown = figures.assign(text=[f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]" for row in figures.itertuples()])
    keys = ["version", "window", "candidate", "rows", "test"]
    table = shown.pivot(index=keys, columns="figure", values="text").reset_index()
    return table[["version", "window", "candidate", "macro-F1", "accuracy", "rows", "test"]].iloc[::-1]


def against(row: Decision) -> tuple[float, float, float] | None:
    """The paired difference in macro-F1 to the champion of that time, and its interval; None without a champion."""
    verdict = row.evidence.get("verdict", {})
    if measured(row).get("champion_version") is None or "interval" not in verdict:
        return None
    return verdict["f1_difference"], *verdict["interval"]


def slices(row: Decision) -> pd.DataFrame:
    """A row per slice and model: `slice`, `model`, `macro_f1`, `low`, `high`, `rows`; the whole test set first."""
    evidence = measured(row)
    tables = {EVERYTHING: evidence["outcomes"], **evidence.get("slices", {})}
    found = []
    for name, counts in tables.items():
        table = np.array(counts)
        for champion in (False, True) if evidence.get("champion_version") is not None else (False,):
            if table.sum():
                version = evidence["champion_version"] if champion else row.version
                model = f"version {version}, {'champion then' if champion else 'challenger'}"
                interval = intervals.bootstrap(table, champion=champion)
                found.append((name, model, macro_f1(table, champion=champion), *interval, int(table.sum())))
    return pd.DataFrame(found, columns=["slice", "model", "macro_f1", "low", "high", "rows"])
