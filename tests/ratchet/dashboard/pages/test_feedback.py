"""The page on feedback, and the questions to the prediction log that it and the page Live ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from harness.dashboard import charts, drawn, facts, logged, text
from ratchet.dashboard.queries import experiment, feedback, predictions
from ratchet.dashboard.queries.log import connected
from ratchet.dashboard.settings import DashboardSettings
from ratchet.errors import ConfigurationError
from ratchet.experiments.comparison import ArmCounts, PairedCounts

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = [
    ("a", MONDAY - timedelta(milliseconds=1), 1, "champion", 0.9),
    ("b", MONDAY, 1, "champion", 0.2),
    ("c", MONDAY + timedelta(minutes=59, seconds=59.9), 1, "champion", 0.5),
    ("d", MONDAY + timedelta(hours=1), 2, "challenger", 1.0),
    ("d", MONDAY + timedelta(hours=1), 1, "shadow", 0.0),
]
TRUTHS = {"a": 1, "b": 1, "d": 1, "nobody": 0}


@pytest.fixture(params=["postgresql", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> DashboardSettings:
    """Settings that name a filled log in each kind of database."""
    url = f"sqlite:///{tmp_path}/log.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("server")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS predictions, feedback")
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS prediction_log_is_append_only")
        engine.dispose()
    logged(url, ROWS, TRUTHS)
    return DashboardSettings(store=str(tmp_path), serving_log=SecretStr(url))


def test_answers_are_counted_by_week_with_their_truth(log: DashboardSettings) -> None:
    """A week begins on Monday at 00:00 UTC, not a millisecond earlier; a shadow's row has the truth, too."""
    table = predictions.cells(log, MONDAY - timedelta(days=8), "week")
    found = {(row.began.date().isoformat(), row.model_version, row.arm, row.label, row.truth if row.truth in (0, 1) else
              None): row.reviews for row in table.dropna(subset="truth").itertuples()}  # fmt: skip
    assert found == {
        ("2026-02-23", 1, "champion", 1, 1): 1,
        ("2026-03-02", 1, "champion", 0, 1): 1,
        ("2026-03-02", 2, "challenger", 1, 1): 1,
        ("2026-03-02", 1, "shadow", 0, 1): 1,
    }
    assert table["truth"].isna().sum() == 1
    assert table["reviews"].sum() == 5


def test_answers_are_counted_by_hour(log: DashboardSettings) -> None:
    """A second before the hour belongs to the one before; what is older than asked for is left out."""
    table = predictions.cells(log, MONDAY, "hour")
    hours = table.groupby("began")["reviews"].sum()
    assert [hour.isoformat() for hour in hours.index] == ["2026-03-02T00:00:00+00:00", "2026-03-02T01:00:00+00:00"]
    assert hours.tolist() == [2, 2]


def test_probabilities_are_counted_in_twenty_bins(log: DashboardSettings) -> None:
    """A probability of 1 belongs to the last one."""
    table = predictions.probabilities(log, MONDAY).sort_values("low")
    assert table["low"].tolist() == pytest.approx([0.0, 0.2, 0.5, 0.95])
    assert table["reviews"].tolist() == [1, 1, 1, 1]
    shares = predictions.shares(table, "arm")
    assert shares.groupby("arm")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert len(shares) == 3 * 20


def test_the_database_keeps_the_dashboard_from_writing(log: DashboardSettings) -> None:
    """Whatever a query would try."""
    with connected(log) as connection, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM predictions")


def test_a_database_without_a_log_is_an_empty_one(tmp_path: Path) -> None:
    """The API makes its tables when it has something to log."""
    settings = DashboardSettings(store=str(tmp_path))
    assert predictions.cells(settings, MONDAY, "week").empty
    assert predictions.probabilities(settings, MONDAY).empty


@pytest.mark.parametrize("place", ["s3://bucket/prefix", "./data", "/var/log/ratchet"])
def test_a_log_of_files_is_told(tmp_path: Path, place: str) -> None:
    """The API can keep it so; the dashboard says that it does not read that, and what to do."""
    settings = DashboardSettings(store=str(tmp_path), serving_log=SecretStr(place))
    with pytest.raises(ConfigurationError, match="let the API log into Postgres"):
        predictions.cells(settings, MONDAY, "week")


def test_a_role_that_may_not_read_is_told(server: str, tmp_path: Path) -> None:
    """In a line, without the statement."""
    logged(server, [], {})
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS guest")
        connection.exec_driver_sql("CREATE ROLE guest LOGIN")
    engine.dispose()
    guest = SecretStr(server.replace("//postgres:@", "//guest:@"))
    with pytest.raises(ConfigurationError, match="permission denied for table") as told:
        predictions.cells(DashboardSettings(store=str(tmp_path), serving_log=guest), MONDAY, "week")
    assert "SELECT" not in str(told.value)


def test_a_shadow_is_no_answer() -> None:
    """Nobody was told what it thought, so it covers nothing."""
    assert feedback.answered(cells_of([("champion", 1, 1, 10), ("shadow", 1, None, 10)]))["reviews"].sum() == 10


def cells_of(rows: list[tuple[str, int, int | None, int]]):
    """Cells of one week and version: (arm, answer, truth, reviews)."""
    import pandas as pd

    week = pd.Timestamp(MONDAY)
    found = [(week, 1 if arm == "champion" else 2, arm, label, truth, count) for arm, label, truth, count in rows]
    return pd.DataFrame(found, columns=predictions.CELLS).astype({"truth": "Int64"})


def test_coverage_and_accuracy_are_shares_of_counts() -> None:
    """40 of 100 answers have a label; 30 of those are right."""
    cells = cells_of([("champion", 1, 1, 30), ("champion", 1, 0, 10), ("champion", 0, None, 60)])
    assert feedback.coverage(cells)[["reviews", "known", "share"]].values.tolist() == [[100, 40, 0.4]]
    accuracy = feedback.accuracy(cells, ["model_version"]).iloc[0]
    assert (accuracy["known"], accuracy["right"], accuracy["accuracy"]) == (40, 30, 0.75)
    assert accuracy["low"] < 0.75 < accuracy["high"]


def test_the_newest_experiment_is_counted_by_arm(log: DashboardSettings) -> None:
    """Rows that were not drawn, or for an earlier experiment, are no part of it."""
    url, hour = log.log_url.get_secret_value(), timedelta(hours=1)
    assert experiment.drawn(log, MONDAY) is None
    rows = [(f"x{at}", MONDAY + at * hour, 1, "champion", 0.9) for at in range(4)]
    logged(url, rows, {"x1": 1}, "1/2/0.25")
    rows = [(f"y{at}", MONDAY + (9 + at) * hour, 2, "champion", 0.9) for at in range(5)]
    rows += [(f"z{at}", MONDAY + (9 + at) * hour, 3, "challenger", 0.9) for at in range(3)]
    logged(url, rows, {"y1": 1, "y2": 0, "z2": 1}, "2/3/0.5")
    found = experiment.drawn(log, MONDAY)
    assert (found.experiment.champion, found.experiment.challenger, found.experiment.share) == (2, 3, 0.5)
    assert found.champion == ArmCounts(answered=5, labelled=2, right=1)
    assert found.challenger == ArmCounts(answered=3, labelled=1, right=1)
    assert found.verdict.conclusion == "not known yet"


def test_a_shadow_is_held_against_the_champion_on_the_same_reviews(log: DashboardSettings) -> None:
    """Of the newest pair, where the truth is known: both right, the champion alone, the shadow alone, neither."""
    url, hour = log.log_url.get_secret_value(), timedelta(hours=1)
    answered = {"e": (0.9, 0.9, 1), "f": (0.9, 0.1, 1), "g": (0.9, 0.1, 0), "h": (0.9, 0.9, 0), "i": (0.9, 0.9, None)}
    rows = [(name, MONDAY + hour, 3, "champion", first) for name, (first, _, _) in answered.items()]
    rows += [(name, MONDAY + hour, 4, "shadow", second) for name, (_, second, _) in answered.items()]
    logged(url, rows, {name: truth for name, (_, _, truth) in answered.items() if truth is not None})
    found = experiment.shadowed(log, MONDAY)
    assert (found.champion, found.challenger) == (3, 4)
    assert found.seen == PairedCounts(both=1, champion=1, challenger=1, neither=1)


def test_without_an_experiment_there_is_nothing_to_hold_against(tmp_path: Path) -> None:
    """Nor without a log."""
    settings = DashboardSettings(store=str(tmp_path))
    assert experiment.drawn(settings, MONDAY) is None
    assert experiment.shadowed(settings, MONDAY) is None


def answers(arms: tuple[str, ...]) -> tuple[list[tuple], dict[str, int]]:
    """100 answers of each arm in this week; of each, every second has a label, and every tenth is wrong."""
    now = datetime.now(UTC)
    rows = [
        (f"{arm}{number}", now, 1 + position, arm, 0.9) for position, arm in enumerate(arms) for number in range(100)
    ]
    return rows, {f"{arm}{number}": int(number % 10 > 0) for arm in arms for number in range(0, 100, 2)}


def test_the_page_tells_coverage_accuracy_and_the_verdict(store: Path) -> None:
    """With two arms, all of it."""
    logged(f"sqlite:///{store}/ledger.db", *answers(("champion", "challenger")), "1/2/0.5")
    found = drawn("feedback")
    assert facts(found) == {
        "Answered": "200", "With a true label": "100", "Coverage": "50.0%",
        "Champion, version 1: 50 labels of 100": "80.00%", "Challenger, version 2: 50 labels of 100": "80.00%",
    }  # fmt: skip
    assert charts(found) == 2
    assert "The challenger answers 50% of the reviews: **not known yet**." in text(found)
    assert len(found.table[0].value) == 3


def test_an_experiment_without_labels_of_one_arm_is_no_error(store: Path) -> None:
    """An arm may not even have answered yet."""
    logged(f"sqlite:///{store}/ledger.db", *answers(("champion",)), "1/2/0.01")
    found = drawn("feedback")
    assert facts(found)["Challenger, version 2: 0 labels of 0"] == "–"
    assert "**not known yet**" in text(found)


def test_a_shadow_is_told(store: Path) -> None:
    """It answered nobody, so it is in no other figure."""
    rows, truths = answers(("champion",))
    rows += [(name, at, 2, "shadow", 0.1) for name, at, *_ in rows]
    logged(f"sqlite:///{store}/ledger.db", rows, truths)
    found = drawn("feedback")
    assert facts(found)["Answered"] == "100"
    assert "Version 2 reads along unheard with version 1, 50 reviews with a true label" in text(found)
    assert "**champion is better**" in text(found)


def test_one_arm_is_nothing_to_compare(store: Path) -> None:
    """The page says what would give a second one."""
    logged(f"sqlite:///{store}/ledger.db", *answers(("champion",)))
    assert "RATCHET_SERVING_CHALLENGER_SHARE" in text(drawn("feedback"))


def test_answers_without_any_label_are_told(store: Path) -> None:
    """Coverage is 0, and there is no accuracy to draw."""
    rows, _ = answers(("champion",))
    logged(f"sqlite:///{store}/ledger.db", rows, {})
    found = drawn("feedback")
    assert facts(found)["Coverage"] == "0.0%"
    assert "No true label came back yet" in text(found)
