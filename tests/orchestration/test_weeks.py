"""Which week a DAG run is about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestration.weeks import CHAMPIONS, SQL, NoNewBatch, Week, plan, unfeaturized
from ratchet import keys
from ratchet.candidates import FEATURIZER
from ratchet.ledger import Champion, Decision, Ledger
from ratchet.settings import Settings
from ratchet.storage import open_storage

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
    """A backfill of an old week trains that week's window, whatever happened since."""
    decided(settings, "0-2")
    assert plan(PARAMS, monday(week), settings).window == window


def test_a_click_in_the_ui_means_the_week_after_the_last_decision(settings: Settings) -> None:
    """A moment in the middle of a week names no week, and neither does none at all."""
    decided(settings, "0-0")
    decided(settings, "0-1", "keep", 2)
    some_wednesday = datetime(2026, 11, 18, 14, 3, tzinfo=UTC)
    assert plan(PARAMS, some_wednesday, settings).window == plan(PARAMS, None, settings).window == "0-2"


def test_a_param_names_the_window(settings: Settings) -> None:
    """What a person asks for wins over every date."""
    assert plan({**PARAMS, "window_end": 1}, monday(2), settings).window == "0-1"


def test_a_week_without_a_new_batch_is_no_week(settings: Settings) -> None:
    """The run is skipped, and the reason says where the batch was looked for."""
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


def test_retraining_keeps_the_champions_kind_unless_told(settings: Settings) -> None:
    """The champion's kind won the comparison; a Param may try the other."""
    decided(settings, "0-0")
    assert plan(PARAMS, monday(1), settings).candidate == "linear-svc"
    other = {**PARAMS, "candidate": "logistic-regression"}
    assert plan(other, monday(1), settings).candidate == "logistic-regression"


def test_a_repeated_week_is_planned_as_it_was_the_first_time(settings: Settings) -> None:
    """What was decided later changes neither the kind of model nor the section."""
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


def test_only_batches_without_features_are_featurized(settings: Settings) -> None:
    """Each batch is featurized once, in the first week that needs it."""
    storage = open_storage(settings.store)
    for name in ("test", "batch_00"):
        storage.write(keys.manifest(keys.features(FEATURIZER, name)), b"{}")
    assert unfeaturized("0-2", settings) == [{"batch": "batch_01"}, {"batch": "batch_02"}]


def test_when_all_are_featurized_the_newest_is_looked_at_again(settings: Settings) -> None:
    """Mapping over nothing would skip everything behind it."""
    storage = open_storage(settings.store)
    for name in ("test", "batch_00", "batch_01"):
        storage.write(keys.manifest(keys.features(FEATURIZER, name)), b"{}")
    assert unfeaturized("0-1", settings) == [{"batch": "batch_01"}]


def test_a_week_fits_into_xcom(settings: Settings) -> None:
    """The plan is plain JSON."""
    assert {type(value) for value in vars(plan(PARAMS, monday(0), settings)).values()} <= {str, bool}
    assert set(Week.__dataclass_fields__) == {"window", "batch", "delivery", "source", "candidate", "first"}
