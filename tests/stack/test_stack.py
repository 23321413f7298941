"""The deployment as its users meet it: containers, three weeks, releases, approval, alerts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from local.compose.compose import PROJECT
from local.compose.doctor import findings
from local.compose.up import deploy, up
from ratchet.jobs import keys, manifests
from stack.stage import Stage

PATIENCE = 180.0


def until(true: Callable[[], object]) -> object:
    """Wait for what happens by itself, soon."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(1)
    return found


def test_the_doctor_finds_everything_well(weeks: Stage) -> None:
    """Each container is healthy, and store, ledger, MLflow and ECS agree."""
    assert [finding for finding in findings(weeks.compose.env) if not finding.well] == []


def test_starting_again_changes_nothing(weeks: Stage) -> None:
    """`make up` twice is harmless: the same containers go on."""
    lasting = {seen["Id"] for seen in weeks.containers() if seen["State"]["Running"]}
    same = {"CODE_VERSION": weeks.compose.env["CODE_VERSION"]}  # of a tree that may have changed since
    up(weeks.compose.env.path, same, profiles=weeks.compose.profiles, overlays=weeks.compose.overlays)
    assert {seen["Id"] for seen in weeks.containers() if seen["State"]["Running"]} == lasting


def test_containers_have_no_more_rights_than_they_need(stage: Stage) -> None:
    """No root but Postgres's entry point, a read-only root, no port beyond loopback, and the commit on our images."""
    for seen in stage.containers():
        name, host = seen["Name"], seen["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        published = [each for each in host["PortBindings"].values() for each in each]
        assert all(port["HostIp"] == "127.0.0.1" for port in published), name
        if "postgres" not in name:
            assert seen["Config"]["User"] not in {"", "root", "0"}, name
            assert seen["Config"]["Labels"]["org.opencontainers.image.revision"] != "unknown", name


def test_three_weeks_leave_three_decisions_that_all_parts_agree_on(weeks: Stage) -> None:
    """Ledger, MLflow's aliases, the store's checksums and the report say the same."""
    history = weeks.ledger.history()[:3]
    assert [row.window for row in history] == ["0-0", "0-1", "0-2"]
    champion = weeks.ledger.champion().version
    alias = weeks.mlflow("registered-models/alias", name="review-sentiment", alias="champion")
    assert int(alias["model_version"]["version"]) == champion
    read = manifests.find(weeks.storage, keys.processed(keys.SEED))
    assert read.rows["accepted"] + read.rows["quarantined"] == read.rows["read"]
    if weeks.archive:
        assert read.rows["read"] == 140_152
    for manifest in (read, *(manifests.find(weeks.storage, keys.decision(row.window)) for row in history)):
        for name, output in manifest.outputs.items():
            assert weeks.sha256(f"{manifest.prefix}/{name}") == output.sha256
    assert (weeks.output / "report.html").stat().st_size > 10_000


def test_every_job_was_one_container_that_ended_well(weeks: Stage) -> None:
    """Real sibling containers of the training image, each launched once."""
    tasks = weeks.ecs_tasks()
    assert len(tasks) >= 3 * 5
    assert [weeks.said(task) for task in tasks if task["containers"][0]["exitCode"] != 0] == []
    assert {container["image"] for task in tasks for container in task["containers"]} == {"ratchet-training:test"}
    assert len({task["startedBy"] for task in tasks}) == len(tasks)


def test_a_job_that_something_ends_is_never_green(weeks: Stage) -> None:
    """Stopped by a person, which this ECS reports with exit code 0, or killed as for memory: the try fails, the next
    one launches again; meanwhile the log of a running job can be read."""
    week, before = weeks.next_week, len(weeks.ledger.history())
    weeks.tap.launches.clear()
    weeks.tap.plan("score", "running", lambda: weeks.stop_job("score"))
    weeks.tap.plan("evaluate", "running", lambda: weeks.kill_job("evaluate"))
    run_id = weeks.trigger(week)
    until(lambda: weeks.reads_while_running(run_id, "retraining.train", "job starts"))
    assert weeks.until_ended(run_id, 6 * 60) == "success"
    assert weeks.tap.failures == []
    tried = {task["task_id"]: task["try_number"] for task in weeks.airflow.tasks(run_id)}
    assert (tried["retraining.score"], tried["retraining.evaluate"], tried["retraining.train"]) == (2, 2, 1)
    launches = sorted(weeks.tap.launches.values())
    assert launches in ([1, 1, 1, 2, 2], [1, 1, 1, 1, 2])  # a manifest that was out before the blow fell is found
    assert len(weeks.ledger.history()) == before + 1


def test_the_triggerer_can_run_the_callback_of_the_deadline(weeks: Stage) -> None:
    """It is found by its path, in a process that reads no DAG."""
    ask = (
        "PYTHONPATH=$AIRFLOW_HOME/releases/current python -c 'import orchestration.callbacks as c; print(c.tell_late)'"
    )
    assert "tell_late" in weeks.compose.ask("exec", "-T", "airflow-triggerer", "sh", "-c", ask)


def test_a_tasks_page_has_its_jobs_log_and_leads_to_its_mlflow_run(weeks: Stage) -> None:
    """What the container printed is in Airflow's log; the link opens the run of this very training."""
    path = "/api/v2/dags/review_sentiment/dagRuns/week_2__2026-01-19/taskInstances/retraining.train"
    log = weeks.airflow.call("GET", f"{path}/logs/1", headers={"Accept": "application/json"})
    assert '"event": "fit starts"' in str(log["content"]).replace('\\"', '"')
    links = weeks.airflow.call("GET", f"{path}/links")["extra_links"]
    assert links["MLflow run"].startswith(weeks.compose.env.urls["mlflow"])
    run = weeks.mlflow("runs/get", run_id=links["MLflow run"].rpartition("/")[2])["run"]
    assert run["info"]["status"] == "FINISHED"


def test_only_who_is_logged_in_reads_the_champion_page(weeks: Stage) -> None:
    """The decisions and their reasons are not for everyone."""
    url = f"{weeks.compose.env.urls['airflow']}/champion/"
    assert httpx.get(f"{url}api/decisions").status_code == 401
    page = weeks.airflow.http.get(url)
    assert page.status_code == 200
    assert "Version" in page.text


def test_the_api_serves_the_champion(weeks: Stage) -> None:
    """The serving container follows the ledger by itself, and its answer is in the log before the label comes."""
    env = weeks.compose.env
    url, key = f"http://127.0.0.1:{env['SERVING_PORT']}", {"Authorization": f"Bearer {env['SERVING_KEY']}"}
    until(lambda: httpx.get(f"{url}/ready").status_code == 200)
    answer = httpx.post(f"{url}/v1/predict", headers=key, json={"reviews": [{"text": "It broke after a week, awful."}]})
    assert answer.status_code == 200, answer.text
    prediction = answer.json()["predictions"][0]
    assert prediction["label"] == 0
    truth = {"prediction_id": prediction["prediction_id"], "label": 0}
    told = httpx.post(f"{url}/v1/feedback", headers=key, json={"feedback": [truth]})
    assert told.json()["feedback"] == [{"prediction_id": prediction["prediction_id"], "outcome": "added"}]


def test_a_released_dag_appears_and_a_deleted_one_disappears(weeks: Stage, tmp_path: Path) -> None:
    """Airflow follows the bucket, without a restart."""
    for prefix in ("dags", "plugins", "include"):
        shutil.copytree(PROJECT / prefix, tmp_path / prefix)
    (tmp_path / "dags" / "hello.py").write_text(
        "from airflow.sdk import dag\n\n\n@dag(schedule=None)\ndef hello() -> None: ...\n\n\nhello()\n"
    )
    deploy(weeks.compose.env, tmp_path)
    until(lambda: "hello" in weeks.dags())
    deploy(weeks.compose.env)
    until(lambda: "hello" not in weeks.dags())


def test_a_person_rejects_and_the_run_keeps_its_release(weeks: Stage, tmp_path: Path) -> None:
    """The promotion waits; a release in between is not for this run; the answer is in the ledger with the name."""
    before, champion = len(weeks.ledger.history()), weeks.ledger.champion().version
    run_id = weeks.trigger(weeks.next_week, require_approval=True)
    asked = f"/api/v2/dags/review_sentiment/dagRuns/{run_id}/taskInstances/retraining.approve/-1/hitlDetails"
    until(lambda: weeks.airflow.http.get(asked).status_code == 200)
    release = weeks.airflow.run(run_id)["bundle_version"]
    for prefix in ("dags", "plugins", "include"):
        shutil.copytree(PROJECT / prefix, tmp_path / prefix)
    with (tmp_path / "dags" / "review_sentiment.py").open("a") as file:
        file.write("# Another release.\n")
    assert deploy(weeks.compose.env, tmp_path).sha != release
    assert len(weeks.ledger.history()) == before
    weeks.airflow.call("PATCH", asked, json={"chosen_options": ["Reject"]})
    assert weeks.until_ended(run_id, 120) == "success"
    assert weeks.airflow.run(run_id)["bundle_version"] == release
    decision = weeks.ledger.history()[-1]
    assert (decision.action, decision.answer.by, decision.champion) == ("keep", "admin", champion)
    deploy(weeks.compose.env)


def test_a_failure_is_told_once(weeks: Stage) -> None:
    """A batch that nobody can read fails its run, and one message says which task, why and what to do."""
    sns, sqs = weeks.aws("sns"), weeks.aws("sqs")
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn="arn:aws:sns:us-east-1:000000000000:ratchet-alerts", Protocol="sqs", Endpoint=arn)
    weeks.aws("s3").put_object(Bucket="ratchet", Key="incoming/batch_40.csv", Body=b"these are no reviews\n" * 50)
    run_id = weeks.trigger(40, window_end=40)
    assert weeks.until_ended(run_id, PATIENCE) == "failed"
    told = until(lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"))
    assert len(told) == 1
    assert "data_engineering." in told[0]["Body"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=told[0]["ReceiptHandle"])
    assert sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20).get("Messages", []) == []  # the run's own callback
