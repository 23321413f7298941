"""The batches that a week trains on, and the week of a date."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ratchet.errors import ConfigurationError
from ratchet.windows import Window, week_of

FIRST = date(2026, 1, 5)


@pytest.mark.parametrize("end", [0, 4, 9, 10, 123])
def test_a_window_reads_as_it_is_written(end: int) -> None:
    """`0-k` holds batches 0..k, and both ways of writing it agree."""
    window = Window.parse(f"0-{end}")
    assert (window, str(window), list(window.batches)) == (Window(end), f"0-{end}", list(range(end + 1)))


@pytest.mark.parametrize(
    "text", ["", "0", "4", "1-4", "0-", "0--1", "0-04", "0-4 ", " 0-4", "0-4\n", "00-4", "0-٤", "0-4-5"]
)
def test_anything_else_is_no_window(text: str) -> None:
    """A window starts at 0 and has one spelling, so that it is one key in the store."""
    with pytest.raises(ConfigurationError, match="is not a window"):
        Window.parse(text)


def test_a_window_cannot_end_before_it_begins() -> None:
    """Batch -1 does not exist."""
    with pytest.raises(ConfigurationError, match="batch 0 or later"):
        Window(-1)


def test_windows_are_ordered_by_their_end() -> None:
    """The later window is the greater one, also beyond one digit."""
    assert max(Window.parse("0-9"), Window.parse("0-10")) == Window(10)


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (date(2026, 1, 5), 0),
        (date(2026, 1, 11), 0),
        (date(2026, 1, 12), 1),
        (datetime(2026, 1, 11, 23, 59, 59, tzinfo=UTC), 0),
        (datetime(2026, 1, 12, tzinfo=UTC), 1),
        (date(2026, 3, 9), 9),
        (date(2027, 1, 4), 52),
    ],
)
def test_a_week_begins_on_monday(moment: date, week: int) -> None:
    """Weeks are counted from the first Monday; Sunday night still belongs to the old one."""
    assert week_of(moment, FIRST) == week


def test_no_batch_belongs_before_the_first_week() -> None:
    """A date before the first week is an error that names the setting."""
    with pytest.raises(ConfigurationError, match="RATCHET_FIRST_WEEK"):
        week_of(date(2026, 1, 4), FIRST)
