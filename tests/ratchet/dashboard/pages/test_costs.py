"""The page on costs: whose week a job was for, and what it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dashboard import charts, drawn, facts, text
from ratchet.dashboard.queries import costs, store
from ratchet.dashboard.settings import DashboardSettings
from ratchet.deployment import prices
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage

HOUR = prices.VCPUS * prices.VCPU_HOUR + 4 * prices.GIB_HOUR


def job(name: str, prefix: str, seconds: float = 60.0, mib: float = 1024.0) -> Manifest:
    return Manifest(job=name, prefix=prefix, seconds=seconds, peak_memory_mib=mib)


def test_a_job_belongs_to_the_week_that_it_was_for() -> None:
    """By its batch or its window; the test set came with week 0, the archive before all weeks."""
    made = [
        job("split", "batches/seed"), job("featurize", "features/words-1-2-hashed-22/batch_03"),
        job("featurize", "features/words-1-2-hashed-22/test"), job("score", "scores/batch_07"),
        job("train", "models/0-12/linear-svc"), job("evaluate", "evaluations/0-4"), job("ingest", "raw/batch_10"),
        job("split", "batches/batch_10"),
    ]  # fmt: skip
    assert costs.jobs(made)["week"].tolist() == ["seed", "3", "0", "7", "12", "4", "10", "10"]


def test_weeks_are_in_order_and_priced_by_the_most_hungry_job() -> None:
    """An hour of training and a second of promoting, of which a minute is charged; week 10 comes after week 2."""
    made = [
        job("train", "models/0-10/linear-svc", 3600, 3 * 1024), job("promote", "decisions/0-10", 1, 100),
        job("score", "scores/batch_02"), job("ingest", "raw/seed"),
    ]  # fmt: skip
    table = costs.weeks(costs.jobs(made))
    assert table["week"].tolist() == ["seed", "2", "10"]
    assert table["dollars"].tolist() == pytest.approx([HOUR / 60, HOUR / 60, HOUR * 61 / 60])
    last = table.iloc[-1]
    assert (last["jobs"], last["seconds"], last["gib"], last["of"]) == (2, 3601, 3.0, "train")


def test_manifests_are_found_wherever_jobs_leave_them(weeks: Path) -> None:
    """Eleven scores, in the order in which they finished; other files are none."""
    (weeks / "scores" / "notes.json").write_text("{}")
    found = store.jobs(DashboardSettings())
    assert [made.prefix for made in found] == [keys.score(keys.batch_name(week)) for week in range(1, 12)]


def test_the_page_tells_what_was_spent(weeks: Path) -> None:
    """Eleven jobs under a minute cost a minute each, at the stated price."""
    found = drawn("costs")
    assert facts(found) == {
        "All so far": f"${11 * HOUR / 60:.2f}", "Last, week 11": f"${HOUR / 60:.3f}",
        "Most memory of any job": "0.50 GiB", "Work": "396 s",
    }  # fmt: skip
    assert found.dataframe[0].value["week"].tolist() == [str(week) for week in range(1, 12)]
    assert "An assumption, no bill" in text(found)
    assert str(prices.VCPU_HOUR) in text(found)
    assert charts(found) == 1


def test_a_job_that_no_task_holds_is_told_without_a_price(store: Path) -> None:
    """The seconds stay."""
    huge = job("train", "models/0-0/linear-svc", 60, 17 * 1024)
    FolderStorage(store).write(keys.manifest(huge.prefix), huge.model_dump_json().encode())
    found = drawn("costs")
    assert "the largest has 16" in found.error[0].value
    assert found.dataframe[0].value["gib"].tolist() == [17.0]


def test_an_altered_manifest_is_told(weeks: Path) -> None:
    """With the key to delete."""
    (weeks / "scores/batch_03/manifest.json").write_text("{")
    assert "scores/batch_03/manifest.json" in drawn("costs").error[0].value
    assert "Delete it" in text(drawn("costs"))
