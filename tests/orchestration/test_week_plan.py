"""The week that a DAG run plans."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestration.week_plan import CHAMPIONS, SQL, NoNewBatch, Week, plan, unfeaturized
from ratchet.errors import MissingInput
from ratchet.jobs import keys, manifests
from ratchet.jobs.base import Job
from ratchet.jobs.featurize import Featurize
from ratchet.jobs.manifests import Manifest, Output
from ratchet.jobs.split import Split
from ratchet.jobs.storage import open_storage
from ratchet.ledger.decision import Decision
from ratchet.ledger.store import Champion, Ledger
from ratchet.settings import Settings

PARAMS = {"window_end": None, "candidate": CHAMPIONS, "force_retrain": False}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path), seed_batches=3)


def decided(
    settings: Settings, window: str, action: str = "promote", version: int = 1, candidate: str = "linear-svc"
) -> None:
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    champion = ledger.champion()
    ledger.record(
        Decision(
            subject=window, action=action, version=version, previous=champion.version, window=window,
            candidate=candidate, reasons=["for the test"],
        ),
        Champion(epoch=champion.epoch, version=champion.version),
    )  # fmt: skip


def monday(week: int) -> datetime:
    return datetime(2026, 1, 5 + 7 * week, tzinfo=UTC)


@pytest.mark.parametrize(("week", "window"), [(0, "0-0"), (1, "0-1"), (2, "0-2")])
def test_a_scheduled_run_is_about_the_week_of_its_logical_date(settings: Settings, week: int, window: str) -> None:
    """A backfill of an old week trains that week's window, independent of later events."""
    decided(settings, "0-2")
    assert plan(PARAMS, monday(week), settings).window == window


def test_a_click_in_the_ui_means_the_week_after_the_last_decision(settings: Settings) -> None:
    """A moment in the middle of a week names no week, and neither does none at all."""
    decided(settings, "0-0")
    decided(settings, "0-1", "keep", 2)
    some_wednesday = datetime(2026, 11, 18, 14, 3, tzinfo=UTC)
    assert plan(PARAMS, some_wednesday, settings).window == plan(PARAMS, None, settings).window == "0-2"


def test_a_param_names_the_window(settings: Settings) -> None:
    """The Param has precedence over every date."""
    assert plan({**PARAMS, "window_end": 1}, monday(2), settings).window == "0-1"


def test_a_week_without_a_new_batch_is_no_week(settings: Settings) -> None:
    """The run is skipped, and the reason names the place where the batch was expected."""
    with pytest.raises(NoNewBatch, match=r"Batch 3 has not arrived: there is no incoming/batch_03\.csv"):
        plan(PARAMS, monday(3), settings)


def test_a_batch_that_was_dropped_into_the_store_makes_the_week(settings: Settings) -> None:
    """Live batches come one by one behind the seed."""
    open_storage(settings.store).write("incoming/batch_03.csv.gz", b"")
    week = plan(PARAMS, monday(3), settings)
    assert (week.delivery, week.window) == ("batch_03", "0-3")
    assert week.source.endswith("/incoming/batch_03.csv.gz")


def test_forcing_without_a_new_batch_trains_the_last_window_again(settings: Settings) -> None:
    """A new candidate or a fix need not wait for Monday."""
    decided(settings, "0-2")
    assert plan({**PARAMS, "force_retrain": True}, monday(3), settings).window == "0-2"


def test_the_first_champion_comes_from_training_and_later_ones_from_retraining(settings: Settings) -> None:
    """Week 0 compares candidates; a later week without any champion has to as well."""
    assert plan(PARAMS, monday(2), settings).first
    decided(settings, "0-0")
    assert not plan(PARAMS, monday(1), settings).first
    assert plan(PARAMS, monday(0), settings).first


def test_retraining_trains_the_champions_candidate_unless_a_param_names_another(settings: Settings) -> None:
    """The champion's candidate won the comparison; a Param may name another one."""
    decided(settings, "0-0")
    assert plan(PARAMS, monday(1), settings).candidate == "linear-svc"
    other = {**PARAMS, "candidate": "logistic-regression"}
    assert plan(other, monday(1), settings).candidate == "logistic-regression"


def test_a_repeated_week_is_planned_as_it_was_the_first_time(settings: Settings) -> None:
    """Later decisions change neither the candidate nor the section."""
    decided(settings, "0-0")
    decided(settings, "0-1", "keep", 2)
    before = plan(PARAMS, monday(1), settings)
    decided(settings, "0-2", "promote", 3, candidate="logistic-regression")
    assert plan(PARAMS, monday(1), settings) == before
    assert plan({**PARAMS, "force_retrain": True}, monday(1), settings).candidate == "logistic-regression"


def test_a_databases_password_does_not_travel(settings: Settings) -> None:
    """XCom and task logs are read by more people than the environment of the scheduler."""
    secret = SecretStr("postgresql+psycopg://me:hunter2@db/reviews?table=reviews")
    week = plan(PARAMS, monday(0), settings.model_copy(update={"source": secret}))
    assert week.source == SQL
    assert "hunter2" not in repr(week)


def finished(
    settings: Settings, job: Job, inputs: tuple[Job, ...] = (), outputs: tuple[str, ...] = (), made: str = ""
) -> None:
    """Leave the manifest that a job leaves."""
    storage = open_storage(settings.store)
    upstream = {each.prefix: manifests.read(storage, each.prefix, "nothing").digest for each in inputs}
    files = {name: Output(sha256=made, size=0) for name in outputs}
    manifest = Manifest(job=job.name, prefix=job.prefix, parameters=job.parameters, inputs=upstream, outputs=files)
    storage.write(keys.manifest(job.prefix), manifest.model_dump_json().encode())


@pytest.fixture
def seeded(settings: Settings) -> Settings:
    """A store whose seed made three batches and a test set, of which test and batch 0 have features."""
    names = ("test.parquet", *(f"batch_{number:02d}.parquet" for number in range(3)))
    finished(settings, Split(batches=3), outputs=names)
    for batch in ("test", "batch_00"):
        finished(settings, Featurize(batch=batch), (Split(batches=3),))
    return settings


def test_only_batches_without_features_are_featurized(seeded: Settings) -> None:
    """Each batch is featurized once, in the first week that needs it."""
    assert unfeaturized("0-2", seeded) == [{"batch": "batch_01"}, {"batch": "batch_02"}]


def test_when_all_are_featurized_the_newest_is_listed(seeded: Settings) -> None:
    """Airflow would skip every later task if the list were empty."""
    assert unfeaturized("0-0", seeded) == [{"batch": "batch_00"}]


def test_features_of_other_reviews_are_made_again(seeded: Settings) -> None:
    """Replacing the source makes everything behind it stale by itself."""
    names = ("test.parquet", "batch_00.parquet")
    finished(seeded, Split(batches=3), outputs=names, made="of other reviews")
    assert unfeaturized("0-0", seeded) == [{"batch": "test"}, {"batch": "batch_00"}]


def test_a_week_in_which_no_batch_came_blocks_no_later_week(seeded: Settings) -> None:
    """Batch 3 never arrived and batch 4 did: window 0-4 trains on what there is."""
    finished(seeded, Split(delivery="batch_04"), outputs=("batch_04.parquet",))
    assert [entry["batch"] for entry in unfeaturized("0-4", seeded)] == ["batch_01", "batch_02", "batch_04"]


def test_a_window_without_its_newest_batch_is_no_window(seeded: Settings) -> None:
    """The window is named after it."""
    with pytest.raises(MissingInput, match="batch_03"):
        unfeaturized("0-3", seeded)


def test_after_a_rollback_the_candidate_is_that_of_the_champion(settings: Settings) -> None:
    """It is not that of the withdrawn version; forcing still finds the last week."""
    decided(settings, "0-0")
    decided(settings, "0-1", "promote", 2, candidate="logistic-regression")
    decided(settings, "", "rollback", 1, candidate="")
    assert plan(PARAMS, monday(2), settings).candidate == "linear-svc"
    forced = plan({**PARAMS, "force_retrain": True}, monday(3), settings)
    assert (forced.window, forced.candidate) == ("0-1", "linear-svc")


def test_an_upload_under_way_is_no_batch(settings: Settings) -> None:
    """Only a file with the name of a review file is a delivery."""
    open_storage(settings.store).write("incoming/batch_03.csv.gz.partial", b"")
    with pytest.raises(NoNewBatch):
        plan(PARAMS, monday(3), settings)


def test_a_week_fits_into_xcom(settings: Settings) -> None:
    """The plan is plain JSON."""
    assert {type(value) for value in vars(plan(PARAMS, monday(0), settings)).values()} <= {str, bool}
    assert set(Week.__dataclass_fields__) == {"window", "batch", "delivery", "source", "candidate", "first"}
