"""The page Costs: the week of each job, and its estimated price."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dashboard import charts, metrics, render, text
from ratchet.dashboard.queries import costs, store
from ratchet.dashboard.settings import DashboardSettings
from ratchet.deployment import prices
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import FolderStorage

HOUR = prices.VCPUS * prices.VCPU_HOUR + 4 * prices.GIB_HOUR


def job(name: str, prefix: str, seconds: float = 60.0, mib: float = 1024.0) -> Manifest:
    return Manifest(job=name, prefix=prefix, seconds=seconds, peak_memory_mib=mib)


def test_a_job_belongs_to_the_week_of_its_batch_or_window() -> None:
    """The test set belongs to week 0, and the seed archive to no week."""
    made = [
        job("split", "batches/seed"), job("featurize", "features/words-1-2-hashed-22/batch_03"),
        job("featurize", "features/words-1-2-hashed-22/test"), job("score", "scores/batch_07"),
        job("train", "models/0-12/linear-svc"), job("evaluate", "evaluations/0-4"), job("ingest", "raw/batch_10"),
        job("split", "batches/batch_10"),
    ]  # fmt: skip
    assert costs.job_table(made)["week"].tolist() == ["seed", "3", "0", "7", "12", "4", "10", "10"]


def test_weeks_are_in_numeric_order_and_priced_by_the_largest_job() -> None:
    """A job of an hour costs an hour, one of a second costs a minute; week 10 comes after week 2."""
    made = [
        job("train", "models/0-10/linear-svc", 3600, 3 * 1024), job("promote", "decisions/0-10", 1, 100),
        job("score", "scores/batch_02"), job("ingest", "raw/seed"),
    ]  # fmt: skip
    table = costs.cost_by_week(costs.job_table(made))
    assert table["week"].tolist() == ["seed", "2", "10"]
    assert table["dollars"].tolist() == pytest.approx([HOUR / 60, HOUR / 60, HOUR * 61 / 60])
    last = table.iloc[-1]
    assert (last["jobs"], last["seconds"], last["gib"], last["largest_job"]) == (2, 3601, 3.0, "train")


def test_all_manifests_of_the_store_are_found(weeks: Path) -> None:
    """The manifests of eleven score jobs are read, by time of finish; other JSON files are ignored."""
    (weeks / "scores" / "notes.json").write_text("{}")
    found = store.job_manifests(DashboardSettings())
    assert [made.prefix for made in found] == [keys.score(keys.batch_name(week)) for week in range(1, 12)]


def test_the_page_shows_the_total_cost(weeks: Path) -> None:
    """Eleven jobs under a minute cost a minute each, at the stated price."""
    found = render("costs")
    assert metrics(found) == {
        "Total cost": f"${11 * HOUR / 60:.2f}", "Latest, week 11": f"${HOUR / 60:.3f}",
        "Peak memory of a job": "0.50 GiB", "Total run time": "396 s",
    }  # fmt: skip
    assert found.dataframe[0].value["week"].tolist() == [str(week) for week in range(1, 12)]
    assert "an estimate, not a bill" in text(found)
    assert str(prices.VCPU_HOUR) in text(found)
    assert charts(found) == 1


def test_a_job_too_large_for_any_task_is_shown_without_a_price(store: Path) -> None:
    """The page shows an error, and still the table of jobs."""
    huge = job("train", "models/0-0/linear-svc", 60, 17 * 1024)
    FolderStorage(store).write(keys.manifest(huge.prefix), huge.model_dump_json().encode())
    found = render("costs")
    assert "the largest has 16" in found.error[0].value
    assert found.dataframe[0].value["gib"].tolist() == [17.0]


def test_a_damaged_manifest_is_an_error(weeks: Path) -> None:
    """The message names the key to delete."""
    (weeks / "scores/batch_03/manifest.json").write_text("{")
    assert "scores/batch_03/manifest.json" in render("costs").error[0].value
    assert "Delete it" in text(render("costs"))
