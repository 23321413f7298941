"""The page Decisions: the list, its filters, and the details of one decision."""

from __future__ import annotations

from pathlib import Path

from harness.dashboard import page, render, text


def test_every_decision_is_listed_with_its_reasons(weeks: Path) -> None:
    """Newest first, the manual rollback included."""
    table = render("decisions").dataframe[0].value
    assert table["decision"].tolist() == ["rollback", *["promote"] * 10, "keep", "promote"]
    assert table["because"].tolist()[-2:] == ["not beyond chance", "beyond *chance*"]
    assert table["window"].tolist()[1:] == [f"0-{week}" for week in reversed(range(12))]


def test_decisions_can_be_filtered_by_kind(weeks: Path) -> None:
    """One of the twelve weeks kept the champion."""
    found = page("decisions").run()
    found.button_group[0].set_value(["keep"]).run()
    assert found.dataframe[0].value["version"].tolist() == [2]
    assert "1 of 13 decisions" in text(found)


def test_decisions_can_be_searched(weeks: Path) -> None:
    """The search looks in reasons and names, ignores case, and requires every word."""
    found = page("decisions").run()
    found.text_input[0].set_value("BY hand ADA").run()
    assert found.dataframe[0].value["decision"].tolist() == ["rollback"]
    found.text_input[0].set_value("0-11 nobody").run()
    assert "None of the 13 decisions matches" in text(found)
    assert not found.dataframe


def test_a_decision_is_shown_in_detail(weeks: Path) -> None:
    """The details are every check of the gate, and the evidence as stored."""
    found = page("decisions").run()
    found.selectbox[0].set_value(13).run()
    assert "The gate did not judge this decision" in text(found)
    found.selectbox[0].set_value(3).run()
    assert not found.exception
    assert "• beyond *chance*" in text(found)
    checks = found.table[0].value
    assert {"artifact", "floor", "improvement", "slice with title"} <= set(checks.index)
    assert checks.loc["lineage", "passed"] == "yes"
    assert found.json[0].value
