"""The report of the full-size benchmark: its prices, and goals that are met or missed."""

from __future__ import annotations

import pytest

from bench.full import Cost, Week, dollars, report, task_gib
from ratchet.errors import ConfigurationError
from ratchet.windows import Window

ROWS = {"read": 40, "accepted": 39, "quarantined": 1, "duplicates": 1}
SEED = [Cost("ingest", 10, 9, 0.1), Cost("preprocess", 70, 69, 1.0), Cost("split", 40, 39, 0.5)]


def weeks(peak: float = 2.0, last: float = 90.0) -> list[Week]:
    return [
        Week(Window(0), 4, [Cost("train", 60, 58, 1.0), Cost("evaluate", 5, 3, 0.4)]),
        Week(Window(1), 8, [Cost("train", last, last - 2, peak), Cost("evaluate", 6, 4, 0.4)]),
    ]


def test_a_task_is_the_smallest_that_fits_every_job() -> None:
    """Fargate has steps of 1 GiB from 4 GiB on; a job that fits no task is an error."""
    assert [task_gib([*SEED, Cost("train", 1, 1, peak)]) for peak in (0.2, 4.0, 4.1, 15.2)] == [4, 4, 5, 16]
    with pytest.raises(ConfigurationError, match="the largest has 16"):
        task_gib([Cost("train", 1, 1, 16.1)])


def test_a_task_is_charged_by_the_second_after_its_first_minute() -> None:
    """An hour of 2 vCPUs and 4 GiB has the list price; a second costs as much as a minute."""
    assert dollars([Cost("train", 3600, 3598, 1)], 4) == pytest.approx(2 * 0.04048 + 4 * 0.004445)
    assert dollars([Cost("score", 1, 1, 1)], 4) == dollars([Cost("score", 60, 58, 1)], 4)
    assert dollars([Cost("score", 60.2, 58, 1)], 4) == pytest.approx(61 / 3600 * 0.09874)


def test_goals_are_met() -> None:
    """Each goal has its figure; the growth compares with week 0 without the seed's jobs."""
    text = report(SEED, weeks(), ROWS, 360, "reviews.tgz")
    assert "ROWS=360" in text
    assert "| 1 | 0-1 | 8 | 0.0 | 0.0 | 90.0 | 6.0 | 0.0 | 96.0 | 92.0 | 2.00 | train | 0.004 |" in text
    assert "- met: week 1 takes at most 4 times week 0: 1.5" in text
    assert "- met: ingest, preprocess and split in 300 s: 120" in text
    assert "missed" not in text


def test_goals_are_missed() -> None:
    """Too much memory, a slow last week and a slow seed are reported."""
    text = report([*SEED, Cost("split", 181, 180, 1)], weeks(peak=8.0, last=400), ROWS, 3_600_000, "reviews.tgz")
    assert "ROWS" not in text
    assert "**missed**: peak memory of any job under 8 GiB: 8.00" in text
    assert "**missed**: week 1 takes at most 4 times week 0: 6.2" in text
    assert "**missed**: ingest, preprocess and split in 300 s: 301" in text
