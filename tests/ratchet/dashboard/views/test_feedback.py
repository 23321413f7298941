"""The page Feedback, and the queries to the prediction log that it shares with the page Live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from harness.dashboard import Label, LogRow, charts, fill_log, metrics, render, text
from ratchet.dashboard.queries import experiment, feedback, predictions
from ratchet.dashboard.queries.log import read_only_connection
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError
from ratchet.experiments.comparison import ArmCounts, PairedCounts
from ratchet.prediction_log.records import LogArm

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
ROWS: list[LogRow] = [
    ("a", MONDAY - timedelta(milliseconds=1), 1, "champion", 0.9),
    ("b", MONDAY, 1, "champion", 0.2),
    ("c", MONDAY + timedelta(minutes=59, seconds=59.9), 1, "champion", 0.5),
    ("d", MONDAY + timedelta(hours=1), 2, "challenger", 1.0),
    ("d", MONDAY + timedelta(hours=1), 1, "shadow", 0.0),
]
LABELS: dict[str, Label] = {"a": 1, "b": 1, "d": 1, "nobody": 0}


@pytest.fixture(params=["postgresql", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> DashboardSettings:
    """Settings with the URL of a filled log, in each kind of database."""
    url = f"sqlite:///{tmp_path}/log.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("server")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS predictions, feedback, ratchet_prediction_log_revision")
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS prediction_log_is_append_only")
        engine.dispose()
    fill_log(url, ROWS, LABELS)
    return DashboardSettings(store=str(tmp_path), serving_log=SecretStr(url))


def test_predictions_are_counted_by_week_and_true_label(log: DashboardSettings) -> None:
    """A week begins on Monday at 00:00 UTC, to the millisecond; rows of a shadow have the true label as well."""
    table = predictions.counts(log, MONDAY - timedelta(days=8), "week")
    found = {
        (row.began.date().isoformat(), row.model_version, row.arm, row.label, row.true_label): row.reviews
        for row in table.dropna(subset="true_label").itertuples()
    }
    assert found == {
        ("2026-02-23", 1, "champion", 1, 1): 1,
        ("2026-03-02", 1, "champion", 0, 1): 1,
        ("2026-03-02", 2, "challenger", 1, 1): 1,
        ("2026-03-02", 1, "shadow", 0, 1): 1,
    }
    assert table["true_label"].isna().sum() == 1
    assert table["reviews"].sum() == 5


def test_predictions_are_counted_by_hour(log: DashboardSettings) -> None:
    """A prediction just before the hour belongs to the previous hour; those before `since` are left out."""
    table = predictions.counts(log, MONDAY, "hour")
    hours = table.groupby("began")["reviews"].sum()
    assert [hour.isoformat() for hour in hours.index] == ["2026-03-02T00:00:00+00:00", "2026-03-02T01:00:00+00:00"]
    assert hours.tolist() == [2, 2]


def test_probabilities_are_counted_in_twenty_bins(log: DashboardSettings) -> None:
    """A probability of 1 belongs to the last bin."""
    table = predictions.probability_histogram(log, MONDAY).sort_values("low")
    assert table["low"].tolist() == pytest.approx([0.0, 0.2, 0.5, 0.95])
    assert table["reviews"].tolist() == [1, 1, 1, 1]
    shares = predictions.histogram_shares(table, "arm")
    assert shares.groupby("arm")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert len(shares) == 3 * 20


def test_the_database_keeps_the_dashboard_from_writing(log: DashboardSettings) -> None:
    """A DELETE on its connection is refused."""
    with read_only_connection(log) as connection, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM predictions")


def test_a_database_without_the_log_tables_is_an_empty_log(tmp_path: Path) -> None:
    """The API creates the tables with its first row."""
    settings = DashboardSettings(store=str(tmp_path))
    assert predictions.counts(settings, MONDAY, "week").empty
    assert predictions.probability_histogram(settings, MONDAY).empty


@pytest.mark.parametrize("place", ["s3://bucket/prefix", "./data", "/var/log/ratchet"])
def test_a_log_in_files_is_an_error(tmp_path: Path, place: str) -> None:
    """The dashboard does not read files, and the message names the remedy."""
    settings = DashboardSettings(store=str(tmp_path), serving_log=SecretStr(place))
    with pytest.raises(ConfigurationError, match="let the API log into Postgres"):
        predictions.counts(settings, MONDAY, "week")


def test_a_role_without_permission_is_an_error(server: str, tmp_path: Path) -> None:
    """The message does not contain the SQL statement."""
    fill_log(server, [], {})
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS guest")
        connection.exec_driver_sql("CREATE ROLE guest LOGIN")
    engine.dispose()
    guest = SecretStr(server.replace("//postgres:@", "//guest:@"))
    with pytest.raises(ConfigurationError, match="permission denied for table") as raised:
        predictions.counts(DashboardSettings(store=str(tmp_path), serving_log=guest), MONDAY, "week")
    assert "SELECT" not in str(raised.value)


def test_predictions_of_a_shadow_are_left_out() -> None:
    """No caller received them, so they do not count for coverage."""
    assert feedback.without_shadow(counts_of([("champion", 1, 1, 10), ("shadow", 1, None, 10)]))["reviews"].sum() == 10


def counts_of(rows: list[tuple[str, int, int | None, int]]) -> pd.DataFrame:
    """Counts of one week: (arm, label, true label, reviews)."""
    week = pd.Timestamp(MONDAY)
    found = [
        (week, 1 if arm == "champion" else 2, arm, label, true_label, count) for arm, label, true_label, count in rows
    ]
    return pd.DataFrame(found, columns=predictions.COLUMNS).astype({"true_label": "Int64"})


def test_coverage_and_accuracy_are_shares_of_counts() -> None:
    """40 of 100 predictions have a true label; 30 of those are correct."""
    counts = counts_of([("champion", 1, 1, 30), ("champion", 1, 0, 10), ("champion", 0, None, 60)])
    assert feedback.coverage(counts)[["reviews", "labelled", "share"]].values.tolist() == [[100, 40, 0.4]]
    accuracy = feedback.accuracy(counts, ["model_version"]).iloc[0]
    assert (accuracy["labelled"], accuracy["correct"], accuracy["accuracy"]) == (40, 30, 0.75)
    assert accuracy["low"] < 0.75 < accuracy["high"]


def test_the_newest_experiment_is_counted_by_arm(log: DashboardSettings) -> None:
    """Rows without an experiment and rows of an earlier one are left out."""
    url, hour = log.log_url.get_secret_value(), timedelta(hours=1)
    assert experiment.latest_experiment(log, MONDAY) is None
    rows: list[LogRow] = [(f"x{at}", MONDAY + at * hour, 1, "champion", 0.9) for at in range(4)]
    fill_log(url, rows, {"x1": 1}, "1/2/0.25")
    rows = [(f"y{at}", MONDAY + (9 + at) * hour, 2, "champion", 0.9) for at in range(5)]
    rows += [(f"z{at}", MONDAY + (9 + at) * hour, 3, "challenger", 0.9) for at in range(3)]
    fill_log(url, rows, {"y1": 1, "y2": 0, "z2": 1}, "2/3/0.5")
    found = experiment.latest_experiment(log, MONDAY)
    assert found
    assert (found.experiment.champion, found.experiment.challenger, found.experiment.share) == (2, 3, 0.5)
    assert found.champion == ArmCounts(answered=5, labelled=2, right=1)
    assert found.challenger == ArmCounts(answered=3, labelled=1, right=1)
    assert found.verdict.conclusion == "not known yet"


def test_a_shadow_is_compared_with_the_champion_on_the_same_reviews(log: DashboardSettings) -> None:
    """For the newest pair, among reviews with a true label: both right, champion only, shadow only, neither."""
    url, hour = log.log_url.get_secret_value(), timedelta(hours=1)
    scores: dict[str, tuple[float, float, Label | None]] = {
        "e": (0.9, 0.9, 1),
        "f": (0.9, 0.1, 1),
        "g": (0.9, 0.1, 0),
        "h": (0.9, 0.9, 0),
        "i": (0.9, 0.9, None),
    }
    rows: list[LogRow] = [(name, MONDAY + hour, 3, "champion", first) for name, (first, _, _) in scores.items()]
    rows += [(name, MONDAY + hour, 4, "shadow", second) for name, (_, second, _) in scores.items()]
    fill_log(url, rows, {name: label for name, (_, _, label) in scores.items() if label is not None})
    found = experiment.latest_shadow_comparison(log, MONDAY)
    assert found
    assert (found.champion, found.challenger) == (3, 4)
    assert found.seen == PairedCounts(both=1, champion=1, challenger=1, neither=1)


def test_without_a_log_there_is_no_experiment(tmp_path: Path) -> None:
    """Nor a shadow comparison."""
    settings = DashboardSettings(store=str(tmp_path))
    assert experiment.latest_experiment(settings, MONDAY) is None
    assert experiment.latest_shadow_comparison(settings, MONDAY) is None


def sample(arms: tuple[LogArm, ...]) -> tuple[list[LogRow], dict[str, Label]]:
    """100 predictions of each arm in this week: every second has a true label, every tenth is wrong."""
    now = datetime.now(UTC)
    rows = [
        (f"{arm}{number}", now, 1 + position, arm, 0.9) for position, arm in enumerate(arms) for number in range(100)
    ]
    return rows, {f"{arm}{number}": 1 if number % 10 else 0 for arm in arms for number in range(0, 100, 2)}


def test_the_page_shows_coverage_accuracy_and_the_verdict(store: Path) -> None:
    """With two arms it shows all parts."""
    fill_log(f"sqlite:///{store}/ledger.db", *sample(("champion", "challenger")), "1/2/0.5")
    found = render("feedback")
    assert metrics(found) == {
        "Predictions": "200", "With a true label": "100", "Coverage": "50.0%",
        "Champion, version 1: 50 labels of 100": "80.00%", "Challenger, version 2: 50 labels of 100": "80.00%",
    }  # fmt: skip
    assert charts(found) == 2
    assert "The challenger answers 50% of the reviews: **not known yet**." in text(found)
    assert len(found.table[0].value) == 3


def test_an_experiment_without_labels_of_one_arm_is_no_error(store: Path) -> None:
    """An arm may have no predictions yet."""
    fill_log(f"sqlite:///{store}/ledger.db", *sample(("champion",)), "1/2/0.01")
    found = render("feedback")
    assert metrics(found)["Challenger, version 2: 0 labels of 0"] == "–"
    assert "**not known yet**" in text(found)


def test_a_shadow_comparison_is_shown(store: Path) -> None:
    """Predictions of the shadow are in no other figure."""
    rows, labels = sample(("champion",))
    rows += [(name, at, 2, "shadow", 0.1) for name, at, *_ in rows]
    fill_log(f"sqlite:///{store}/ledger.db", rows, labels)
    found = render("feedback")
    assert metrics(found)["Predictions"] == "100"
    assert "Version 2 in shadow mode beside version 1, 50 reviews with a true label" in text(found)
    assert "**champion is better**" in text(found)


def test_without_a_challenger_the_page_shows_how_to_add_one(store: Path) -> None:
    """It names the settings of the API."""
    fill_log(f"sqlite:///{store}/ledger.db", *sample(("champion",)))
    assert "RATCHET_SERVING_CHALLENGER_SHARE" in text(render("feedback"))


def test_without_true_labels_the_page_shows_coverage_only(store: Path) -> None:
    """Coverage is 0, and there is no accuracy chart."""
    rows, _ = sample(("champion",))
    fill_log(f"sqlite:///{store}/ledger.db", rows, {})
    found = render("feedback")
    assert metrics(found)["Coverage"] == "0.0%"
    assert "There is no true label yet" in text(found)
