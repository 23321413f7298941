"""The page on decisions: all of them, found again, and told in full."""

from __future__ import annotations

from pathlib import Path

from harness.dashboard import drawn, page, text


def test_every_decision_is_there_with_its_reasons(weeks: Path) -> None:
    """Newest first, a rollback by hand among them."""
    table = drawn("decisions").dataframe[0].value
    assert table["decision"].tolist() == ["rollback", *["promote"] * 10, "keep", "promote"]
    assert table["because"].tolist()[-2:] == ["not beyond chance", "beyond *chance*"]
    assert table["window"].tolist()[1:] == [f"0-{week}" for week in reversed(range(12))]


def test_kinds_can_be_left_out(weeks: Path) -> None:
    """Of the twelve weeks, one kept the champion."""
    found = page("decisions").run()
    found.button_group[0].set_value(["keep"]).run()
    assert found.dataframe[0].value["version"].tolist() == [2]
    assert "1 of 13 decisions" in text(found)


def test_words_find_decisions(weeks: Path) -> None:
    """In a reason, in whatever case, or in a name; each word has to occur."""
    found = page("decisions").run()
    found.text_input[0].set_value("BY hand ADA").run()
    assert found.dataframe[0].value["decision"].tolist() == ["rollback"]
    found.text_input[0].set_value("0-11 nobody").run()
    assert "None of 13 decisions is like that" in text(found)
    assert not found.dataframe


def test_a_decision_is_told_in_full(weeks: Path) -> None:
    """Every check of the gate with its answer, and the evidence as it is."""
    found = page("decisions").run()
    found.selectbox[0].set_value(13).run()
    assert "The gate was not asked" in text(found)
    found.selectbox[0].set_value(3).run()
    assert not found.exception
    assert "• beyond *chance*" in text(found)
    checks = found.table[0].value
    assert {"artifact", "floor", "improvement", "slice with title"} <= set(checks.index)
    assert checks.loc["lineage", "passed"] == "yes"
    assert found.json[0].value
