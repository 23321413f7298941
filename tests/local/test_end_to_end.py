"""Weeks 0 to 2 through the real DAG, operator and services; then repetitions, which must change nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.project import PROJECT, REVIEWS
from harness.shell import HOSTILE
from local.environment import replaced_environment
from local.processes import services
from local.processes.services import Services
from local.progress import Progress
from local.report import collect
from ratchet.candidates import CANDIDATES, FEATURIZER
from ratchet.jobs import keys, manifests
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.storage import Storage, open_storage
from ratchet.ledger.store import Ledger
from ratchet.settings import Settings
from ratchet.sources import synthetic
from ratchet.windows import Window

SOURCE = str(REVIEWS) if REVIEWS else "synthetic:"
SEED = 5
WEEKS_ON_REQUEST = PROJECT / "tests/harness/dag_runs_on_request.py"


@dataclass(frozen=True)
class System:
    """The services, and a process in which Airflow has started."""

    services: Services
    airflow: subprocess.Popen[str]

    def run_weeks(self, first: str, weeks: int, **conf: object) -> str:
        """Run consecutive weeks and return the output. Fails with its end if a week did not succeed."""
        print(json.dumps([first, weeks, json.dumps(conf)]), file=self.airflow.stdin, flush=True)
        assert self.airflow.stdout is not None
        response = self.airflow.stdout.readline()
        assert response, f"Airflow's process ended with {self.airflow.wait()}"
        done = json.loads(response)
        assert done["code"] == 0, done["output"][-4000:]
        output: str = done["output"]
        return output


@pytest.fixture(scope="module")
def three_weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """All services up, and weeks 0 to 2 of a seed of five done, in a shell that leads to other systems."""
    root, command = tmp_path_factory.mktemp("end-to-end"), [sys.executable, str(WEEKS_ON_REQUEST)]
    with (
        replaced_environment(os.environ | HOSTILE),
        services.running(root, source=SOURCE, cache=root / "cache", seed_batches=SEED) as running,
        replaced_environment(running.environment),
        subprocess.Popen(
            command, env=running.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as airflow,
    ):
        system = System(running, airflow)
        system.run_weeks("2026-01-05", 3)
        yield system


@pytest.fixture
def ledger(three_weeks: System) -> Ledger:
    return Ledger(Settings().ledger_url, Settings().registered_model)


def found(storage: Storage, prefix: str) -> Manifest:
    """The manifest of a prefix, which must have one."""
    manifest = manifests.find(storage, prefix)
    assert manifest is not None, prefix
    return manifest


def state() -> dict[str, Any]:
    """Everything that a repeated run must not change."""
    from ratchet.promotion.registry import Registry

    settings = Settings()
    storage, registry = open_storage(settings.store), Registry(settings)
    ledger = Ledger(settings.ledger_url, settings.registered_model)
    written = [key for key in storage.list("") if key.endswith(keys.MANIFEST)]
    return {
        "digests": {key: found(storage, key.removesuffix(f"/{keys.MANIFEST}")).digest for key in written},
        "decisions": [decision.id for decision in ledger.history()],
        "champion": ledger.champion(),
        "versions": len(registry.client.search_model_versions(f"name = '{registry.name}'")),
        "aliases": registry.aliases(),
    }


def test_each_week_trains_on_all_batches_so_far(three_weeks: System) -> None:
    """The window grows 0-0, 0-1, 0-2, and its rows with it."""
    storage = open_storage(Settings().store)
    rows = []
    for end in range(3):
        made = [key for key in storage.list(f"models/{Window(end)}/") if key.endswith(keys.MANIFEST)]
        trained = found(storage, made[-1].removesuffix(f"/{keys.MANIFEST}"))
        earlier = {keys.model(Window(k), trained.parameters["candidate"]) for k in range(end)}  # a warm start
        assert set(trained.inputs) - earlier == {keys.features(FEATURIZER, keys.batch_name(k)) for k in range(end + 1)}
        rows.append(trained.rows["train"])
    assert rows[0] < rows[1] < rows[2]


def test_week_0_compares_both_candidates_and_keeps_the_better_as_version_1(three_weeks: System, ledger: Ledger) -> None:
    """The first champion is the one with the higher macro-F1 on validation."""
    first = ledger.history()[0]
    compared = first.evidence.compared
    assert set(compared) == set(CANDIDATES)
    assert (first.action, first.version, first.candidate) == ("promote", 1, max(compared, key=compared.get))


def test_every_week_has_one_decision_with_reasons(three_weeks: System, ledger: Ledger) -> None:
    """The ledger has three rows for three weeks, and a replay of each gives the same verdict."""
    from ratchet.promotion.promote import replay

    history = ledger.history()
    assert [decision.window for decision in history] == ["0-0", "0-1", "0-2"]
    for decision in history:
        verdict, follows = replay(decision)
        assert follows
        assert verdict.reasons == decision.reasons != []


def test_the_champion_is_good_and_mlflow_agrees_with_the_ledger(three_weeks: System, ledger: Ledger) -> None:
    """`models:/review-sentiment@champion` is the ledger's champion, and predicts two plain reviews correctly."""
    import mlflow
    import pandas as pd

    from ratchet.promotion.registry import Registry

    assert Registry(Settings()).aliases()["champion"] == ledger.champion().version
    loaded = mlflow.pyfunc.load_model("models:/review-sentiment@champion")
    reviews = pd.DataFrame({"title": ["", ""], "text": ["Terrible, it broke. Waste of money.", "Excellent, love it!"]})
    assert loaded.predict(reviews)["label"].tolist() == [0, 1]


def test_the_prequential_score_is_of_a_champion_not_trained_on_the_batch(three_weeks: System) -> None:
    """Weeks 1 and 2 have a score; week 0 has no champion to score."""
    storage = open_storage(Settings().store)
    assert manifests.find(storage, keys.score(keys.batch_name(0))) is None
    scores = [found(storage, keys.score(keys.batch_name(k))) for k in (1, 2)]
    assert all("not_scored" not in score.details and score.metrics["macro_f1"] > 0.6 for score in scores)


def test_the_report_has_every_week(three_weeks: System, ledger: Ledger) -> None:
    """It combines Airflow's database, the store and the ledger."""
    weeks = collect(open_storage(Settings().store), ledger, Progress(three_weeks.services.databases["airflow"]).weeks())
    assert [week.window for week in weeks] == ["0-0", "0-1", "0-2"]
    assert all(week.seconds > 0 and week.jobs and week.challenger_f1 for week in weeks)


def test_running_a_week_again_changes_nothing(three_weeks: System) -> None:
    """A cleared, repeated or backfilled week finds its results, and registers no second version."""
    before = state()
    three_weeks.run_weeks("2026-01-19", 1)
    assert state() == before


def test_a_forced_week_gives_the_same_bytes_and_no_second_version(three_weeks: System) -> None:
    """Training is deterministic, so a forced training writes the same model."""
    before = state()
    three_weeks.run_weeks("2026-01-19", 1, force_retrain=True)
    after = state()
    same = ("versions", "champion", "aliases")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    models = {key: digest for key, digest in before["digests"].items() if key.startswith("models/")}
    assert models.items() <= after["digests"].items()


def test_a_week_without_a_new_batch_is_skipped_with_the_reason(three_weeks: System) -> None:
    """Week 7 is after the seed's last batch, and no batch has arrived."""
    before = state()
    assert "Batch 7 has not arrived" in three_weeks.run_weeks("2026-02-23", 1)
    assert state() == before
    with sa.create_engine(three_weeks.services.databases["airflow"]).connect() as connection:
        query = """SELECT DISTINCT task.state FROM task_instance AS task JOIN dag_run USING (dag_id, run_id)
                   WHERE logical_date = :date"""
        states = connection.scalars(sa.text(query), {"date": "2026-02-23"}).all()
    assert states == ["skipped"]


def test_a_batch_that_arrives_alone_joins_the_window(three_weeks: System, tmp_path: Path) -> None:
    """Week 6's batch arrives in the store; week 5 has none, and the window has a gap there.

    Its seed differs, so that it repeats no review of a synthetic source.
    """
    files = synthetic.write(synthetic.Parameters.parse("rows=3500&weeks=7&seed=1"), "batch_06", tmp_path)
    storage = open_storage(Settings().store)
    storage.upload(files["train"], f"{keys.incoming('batch_06')}.csv")
    three_weeks.run_weeks("2026-02-16", 1)
    trained = found(storage, storage.list("models/0-6/")[0].rpartition("/")[0])
    batches = [f"batch_{number:02d}" for number in (*range(SEED), 6)]
    started_from = keys.model(Window(2), trained.parameters["candidate"])
    assert set(trained.inputs) == {started_from, *(keys.features(FEATURIZER, name) for name in batches)}


def test_no_secret_is_in_any_task_definition_or_log(three_weeks: System) -> None:
    """The ledger's URL reaches a job through Secrets Manager only, and no job prints it."""
    import boto3

    ecs = boto3.client("ecs")
    (definition,) = ecs.describe_task_definition(taskDefinition="ratchet-training")["taskDefinition"][
        "containerDefinitions"
    ]
    assert "RATCHET_LEDGER" not in {entry["name"] for entry in definition["environment"]}
    assert [entry["name"] for entry in definition["secrets"]] == ["RATCHET_LEDGER"]
    assert os.environ["RATCHET_LEDGER"] not in str(definition)
    logs = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/ratchet/jobs")
    messages = [event["message"] for page in logs for event in page["events"]]
    assert len(messages) > 50
    assert not [message for message in messages if os.environ["RATCHET_LEDGER"] in message]
