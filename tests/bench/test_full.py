"""The report of the full-size rehearsal: what it charges, and that a goal can be missed."""

from __future__ import annotations

import pytest

from bench.full import Cost, Week, dollars, report, task_gib
from ratchet.windows import Window

ROWS = {"read": 40, "accepted": 39, "quarantined": 1, "duplicates": 1}


def weeks(peak: float = 2.0, last: float = 90.0) -> list[Week]:
    seed = [Cost("ingest", 10, 0.1), Cost("preprocess", 70, 1.0), Cost("split", 40, 0.5)]
    return [
        Week(Window(0), 4, [*seed, Cost("train", 60, 1.0), Cost("evaluate", 5, 0.4)]),
        Week(Window(1), 8, [Cost("train", last, peak), Cost("evaluate", 6, 0.4)]),
    ]


def test_a_task_is_the_smallest_that_holds_every_job() -> None:
    """Fargate's steps of 1 GiB, from 4 on; what fits none is no task."""
    assert [task_gib(weeks(peak)) for peak in (0.2, 4.0, 4.1, 15.2)] == [4, 4, 5, 16]
    with pytest.raises(StopIteration):
        task_gib(weeks(16.1))


def test_a_task_is_charged_by_the_second_after_its_first_minute() -> None:
    """An hour of 2 vCPUs and 4 GiB at list price; a second costs as much as a minute."""
    assert dollars([Cost("train", 3600, 1)], 4) == pytest.approx(2 * 0.04048 + 4 * 0.004445)
    assert dollars([Cost("score", 1, 1)], 4) == dollars([Cost("score", 60, 1)], 4)
    assert dollars([Cost("score", 60.2, 1)], 4) == pytest.approx(61 / 3600 * 0.09874)


def test_goals_are_met() -> None:
    """A week's growth is held against week 0 without what is done once."""
    text = report(weeks(), ROWS, 360, "reviews.tgz")
    assert "Week 1 takes 1.5 times week 0" in text
    assert "ROWS=360" in text
    assert text.count("- met") == 3
    assert "missed" not in text


def test_goals_are_missed() -> None:
    """Too much memory, and a last week that is too long."""
    text = report(weeks(peak=8.5, last=400), ROWS, 3_600_000, "reviews.tgz")
    assert "ROWS" not in text
    assert "**missed**: peak memory of any job under 8 GiB: 8.50" in text
    assert "**missed**: week 1 at most 4 times week 0: 6.2" in text
