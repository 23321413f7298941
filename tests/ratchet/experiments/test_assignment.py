"""The draw: uniform, constant for a unit, and independent in every experiment."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.experiments.assignment import Experiment

versions = st.integers(1, 10**6)
shares = st.floats(0, 1)


@given(st.text(), versions, versions, shares, shares)
def test_a_larger_share_moves_units_to_the_challenger_and_none_back(
    unit: str, champion: int, challenger: int, one: float, other: float
) -> None:
    """A unit has one arm; a unit of the challenger at one share is the challenger's at every larger share."""
    small, large = (Experiment(champion, challenger, share) for share in sorted((one, other)))
    assert 0 <= small.draw(unit) < 1
    assert small.arm(unit) == small.arm(unit)
    assert (small.arm(unit), large.arm(unit)) != ("challenger", "champion")


@given(st.text())
def test_shares_of_zero_and_one_give_all_units_to_one_arm(unit: str) -> None:
    """At 0 the champion answers all reviews, at 1 the challenger."""
    assert [Experiment(1, 2, share).arm(unit) for share in (0.0, 1.0)] == ["champion", "challenger"]


def test_draws_are_uniform_and_independent_between_experiments() -> None:
    """Each tenth has a tenth of the units; of the first one, a tenth is first in the next experiment, too."""
    customers = [f"customer-{number}" for number in range(20_000)]
    first = [Experiment(1, 2, 0.5).draw(unit) for unit in customers]
    second = [Experiment(2, 3, 0.5).draw(unit) for unit in customers]
    tenths = Counter(int(10 * place) for place in first)
    assert sorted(tenths) == list(range(10))
    assert all(1_780 < each < 2_220 for each in tenths.values())  # five standard deviations either way
    again = sum(new < 0.1 for old, new in zip(first, second, strict=True) if old < 0.1)
    assert 130 < again < 270


@given(versions, versions, shares)
def test_an_experiment_is_parsed_from_its_text(champion: int, challenger: int, share: float) -> None:
    """The mark of a row gives versions and share, to the last digit."""
    found = Experiment(champion, challenger, share)
    assert Experiment.parse(str(found)) == found
    assert str(Experiment(1, 3, 0.1)) == "1/3/0.1"


@pytest.mark.parametrize("text", ["", "1/3", "1/3/0.1/2", "a/3/0.1"])
def test_other_text_is_no_experiment(text: str) -> None:
    """A row that was not drawn has an empty mark."""
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Experiment.parse(text)
