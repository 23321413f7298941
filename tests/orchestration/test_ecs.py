"""An ECS job runs once, and only its manifest proves that it did. Real operator, real ECS API, real processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from embedded import provision, services
from embedded.children import Children, free_port
from embedded.engine import Image
from embedded.provision import Facts
from orchestration import settings as orchestration_settings
from orchestration.ecs import RatchetJobOperator, launch_token


@pytest.fixture(scope="module")
def behaviour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("behaviour")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory, behaviour: Path) -> Iterator[str]:
    """ECS on processes, its image being `fake_job.py`; yields the endpoint."""
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    endpoint = f"http://127.0.0.1:{port}"
    image = Image(
        [sys.executable, str(Path(__file__).with_name("fake_job.py"))],
        {"PYTHONPATH": str(services.PROJECT / "include"), "FAKE_BEHAVIOUR": str(behaviour)},
    )
    with (
        Children(root / "logs") as children,
        services.engine_running(root, {provision.IMAGE: image}, children) as docker,
    ):
        services.start_aws(children, port, docker, root)
        children.wait_for("aws", f"{endpoint}/_ministack/health")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in services.aws_environment(endpoint).items():
                patch.setenv(name, value)
            patch.setenv("RATCHET_ECS_POLL_SECONDS", "0.1")
            facts = {**services.aws_environment(endpoint), "RATCHET_STORE": f"s3://{provision.BUCKET}"}
            provision.provision(endpoint, services.REGION, Facts("sqlite://", facts))
            patch.setenv("RATCHET_STORE", facts["RATCHET_STORE"])
            orchestration_settings.ecs_settings.cache_clear()
            yield endpoint
        orchestration_settings.ecs_settings.cache_clear()


class Week:
    """One task of one DAG run, and what its container shall do."""

    def __init__(self, behaviour: Path, name: str) -> None:
        self.behaviour, self.batch = behaviour, name
        ti = SimpleNamespace(
            dag_id="review_sentiment",
            run_id=f"run-{name}",
            task_id="featurize",
            map_index=-1,
            xcom_push=lambda **_: None,
        )
        self.context = {"ti": ti}
        (behaviour / "go").unlink(missing_ok=True)
        (behaviour / "launches").unlink(missing_ok=True)

    def run(self, do: str, *, force: bool = False) -> dict:
        (self.behaviour / "do").write_text(do)
        operator = RatchetJobOperator(
            task_id="featurize", job="featurize", arguments={"batch": self.batch}, force=str(force)
        )
        return operator.execute(self.context)

    @property
    def launches(self) -> int:
        record = self.behaviour / "launches"
        return len(record.read_text().split()) if record.exists() else 0


def test_a_job_is_launched_and_its_manifest_returned(aws: str, behaviour: Path) -> None:
    """The common case: one task, one manifest, its summary for XCom."""
    week = Week(behaviour, "batch_01")
    assert week.run("manifest")["room"].endswith("/batch_01")
    assert week.launches == 1


def test_a_job_whose_result_stands_is_not_launched(aws: str, behaviour: Path) -> None:
    """The worker died after the task had finished; the retry finds the manifest."""
    week = Week(behaviour, "batch_02")
    assert week.run("manifest") == week.run("fail")
    assert week.launches == 1


def test_a_job_that_is_on_its_way_is_waited_for(aws: str, behaviour: Path) -> None:
    """The worker died after RunTask; the retry finds its task, waits for it, and launches nothing beside it."""

    class Retry(RatchetJobOperator):
        def _wait_for_task_ended(self) -> None:
            (behaviour / "go").touch()  # the job cannot end before somebody waits for it
            super()._wait_for_task_ended()

    week, launch = Week(behaviour, "batch_03"), launch_token(Week(behaviour, "batch_03").context)
    (behaviour / "do").write_text("wait manifest")
    retry = Retry(task_id="featurize", job="featurize", arguments={"batch": "batch_03"})
    overrides = retry.overrides_for(week.context["ti"], launch, forced=False)
    infra = {"cluster": provision.CLUSTER, "taskDefinition": provision.FAMILY}
    (task,) = boto3.client("ecs").run_task(**infra, overrides=overrides, startedBy=launch)["tasks"]
    retry.execute(week.context)
    assert retry.arn == task["taskArn"]
    assert week.launches == 1


def test_a_job_that_failed_is_launched_again_by_the_next_try(aws: str, behaviour: Path) -> None:
    """A failed task is stopped and without a manifest, so it is not mistaken for a result."""
    week = Week(behaviour, "batch_04")
    with pytest.raises(AirflowException, match="no space left on device"):
        week.run("fail")
    week.run("manifest")
    assert week.launches == 2


def test_an_error_that_only_a_person_can_mend_is_not_tried_again(aws: str, behaviour: Path) -> None:
    """An archive that is empty now is empty in half a minute, too."""
    with pytest.raises(AirflowFailException, match="the archive is empty"):
        Week(behaviour, "batch_07").run("refuse")


def test_exit_code_0_without_a_manifest_is_a_failure(aws: str, behaviour: Path) -> None:
    """ECS reports 0 for a task that was stopped from outside on some platforms; the manifest is the proof."""
    week = Week(behaviour, "batch_05")
    with pytest.raises(AirflowException, match="left no manifest"):
        week.run("nothing")


def test_a_forced_job_runs_although_its_result_stands_but_once_per_run(aws: str, behaviour: Path) -> None:
    """Force means this DAG run wants its own result; a retry of the same run does not want a second one."""
    Week(behaviour, "batch_06").run("manifest")
    forced = Week(behaviour, "batch_06")
    forced.context["ti"].run_id = "another run"
    forced.run("manifest", force=True)
    forced.run("manifest", force=True)
    assert forced.launches == 1


def test_the_launch_token_is_the_same_for_every_try_and_different_for_everything_else() -> None:
    """It is what ECS and the manifest recognise a launch by, and `startedBy` holds 36 characters."""

    def token(**changes: object) -> str:
        identity = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
        return launch_token({"ti": SimpleNamespace(**{**identity, **changes})})

    assert token() == token(try_number=2)
    assert len({token(), token(run_id="s"), token(task_id="u"), token(map_index=0), token(dag_id="e")}) == 5
    assert len(token()) <= 36


def test_the_overrides_carry_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overrides are shown in the ECS console and in CloudTrail."""
    monkeypatch.setenv("RATCHET_LEDGER", "postgresql+psycopg://me:hunter2@db/ratchet")
    operator = RatchetJobOperator(task_id="train", job="train", arguments={"window": "0-1", "candidate": "linear-svc"})
    overrides = operator.overrides_for(SimpleNamespace(run_id="r"), "token", forced=False)
    assert overrides["containerOverrides"][0]["command"] == [
        "train", "--window", "0-1", "--candidate", "linear-svc"
    ]  # fmt: skip
    assert "hunter2" not in str(overrides)
