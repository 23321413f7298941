"""Scores of all model versions, from the tables of counts in the ledger's evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ratchet.dashboard.queries import intervals
from ratchet.dashboard.queries.ledger import measured
from ratchet.ledger.decision import Decision
from ratchet.model.metrics import macro_f1

Array = np.ndarray[Any, Any]

EVERYTHING = "all of the test set"


def judged(rows: Iterable[Decision]) -> dict[int, Decision]:
    """The last decision on each version whose evidence has counts, oldest version first."""
    found = {row.version: row for row in rows if row.version is not None and _counted(row)}
    return dict(sorted(found.items()))


def _counted(row: Decision) -> bool:
    evidence = measured(row)
    return evidence is not None and bool(np.sum(evidence.outcomes))


def versions(rows: Iterable[Decision]) -> pd.DataFrame:
    """A row per version and figure: `version`, `window`, `candidate`, `figure`, `value`, `low`, `high`, `test`, `rows`.

    `low` and `high` are 95 % limits. `test` is the start of the test set's digest: only versions that share it can be
    compared.
    """
    found = []
    for version, row in judged(rows).items():
        evidence = measured(row)
        if evidence is None:
            continue
        table = np.array(evidence.outcomes)
        for figure, value, low, high in _figures(table):
            of = evidence.test_digest[:8], int(table.sum())
            found.append((version, row.window, row.candidate, figure, value, low, high, *of))
    columns = ["version", "window", "candidate", "figure", "value", "low", "high", "test", "rows"]
    return pd.DataFrame(found, columns=columns)


def _figures(table: Array) -> Iterator[tuple[str, float, float, float]]:
    right, rows = int(table[0, :, 0].sum() + table[1, :, 1].sum()), int(table.sum())
    yield "macro-F1", float(macro_f1(table, champion=False)), *intervals.bootstrap(table, champion=False)
    yield "accuracy", right / rows, *intervals.wilson(right, rows)


def wide(figures: pd.DataFrame) -> pd.DataFrame:
    """`versions` with one row per version, newest first, and each figure with its interval as text."""
    shown = figures.assign(text=[f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]" for row in figures.itertuples()])
    keys = ["version", "window", "candidate", "rows", "test"]
    table = shown.pivot(index=keys, columns="figure", values="text").reset_index()
    return table[["version", "window", "candidate", "macro-F1", "accuracy", "rows", "test"]].iloc[::-1]


def against(row: Decision) -> tuple[float, float, float] | None:
    """The paired difference in macro-F1 to the champion of that time, and its interval; None without a champion."""
    evidence, verdict = measured(row), row.verdict
    if evidence is None or verdict is None or evidence.champion_version is None:
        return None
    return verdict.f1_difference, *verdict.interval


def slices(row: Decision) -> pd.DataFrame:
    """A row per slice and model: `slice`, `model`, `macro_f1`, `low`, `high`, `rows`; the whole test set first.

    `low` and `high` are 95 % limits. Empty if the version was not measured.
    """
    evidence = measured(row)
    tables = {EVERYTHING: evidence.outcomes, **evidence.slices} if evidence else {}
    compared = evidence.champion_version if evidence else None
    found = []
    for name, counts in tables.items():
        table = np.array(counts)
        for champion in (False, True) if compared is not None else (False,):
            if table.sum():
                version = compared if champion else row.version
                model = f"version {version}, {'champion then' if champion else 'challenger'}"
                interval = intervals.bootstrap(table, champion=champion)
                score = float(macro_f1(table, champion=champion))
                found.append((name, model, score, *interval, int(table.sum())))
    return pd.DataFrame(found, columns=["slice", "model", "macro_f1", "low", "high", "rows"])
