"""The deployment as its users meet it: containers, three weeks, releases, approval, alerts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from local.compose.compose import PROJECT
from local.compose.doctor import findings
from local.compose.up import deploy, up
from ratchet.jobs import keys, manifests
from stack.deployment import Deployment

TIMEOUT = 180.0
Result = TypeVar("Result")


def until(condition: Callable[[], Result]) -> Result:
    """Wait until the condition is true; returns its value."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {TIMEOUT:.0f} s"
        time.sleep(1)
    return found


def test_the_doctor_reports_no_problem(deployment: Deployment) -> None:
    """Each container is healthy, and store, ledger, MLflow and ECS agree."""
    assert [finding for finding in findings(deployment.compose.env) if not finding.ok] == []


def test_starting_again_changes_nothing(deployment: Deployment) -> None:
    """A second `make up` leaves the same containers running."""
    before = {seen["Id"] for seen in deployment.containers() if seen["State"]["Running"]}
    same = {"CODE_VERSION": deployment.compose.env["CODE_VERSION"]}  # of a tree that may have changed since
    up(deployment.compose.env.path, same, profiles=deployment.compose.profiles, overlays=deployment.compose.overlays)
    assert {seen["Id"] for seen in deployment.containers() if seen["State"]["Running"]} == before


def test_containers_have_no_more_rights_than_they_need(fresh_deployment: Deployment) -> None:
    """No root user but Postgres's entry point, a read-only file system, ports on loopback, images with a commit."""
    for seen in fresh_deployment.containers():
        name, host = seen["Name"], seen["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        published = [each for each in host["PortBindings"].values() for each in each]
        assert all(port["HostIp"] == "127.0.0.1" for port in published), name
        if "postgres" not in name:
            assert seen["Config"]["User"] not in {"", "root", "0"}, name
            assert seen["Config"]["Labels"]["org.opencontainers.image.revision"] != "unknown", name


def test_three_weeks_make_three_decisions_on_which_all_parts_agree(deployment: Deployment) -> None:
    """Ledger, MLflow's aliases, the store's checksums and the report agree."""
    history = deployment.ledger.history()[:3]
    assert [row.window for row in history] == ["0-0", "0-1", "0-2"]
    champion = deployment.ledger.champion().version
    alias = deployment.mlflow("registered-models/alias", name="review-sentiment", alias="champion")
    assert int(alias["model_version"]["version"]) == champion
    read = manifests.find(deployment.storage, keys.processed(keys.SEED))
    assert read.rows["accepted"] + read.rows["quarantined"] == read.rows["read"]
    if deployment.archive:
        assert read.rows["read"] == 140_152
    for manifest in (read, *(manifests.find(deployment.storage, keys.decision(row.window)) for row in history)):
        for name, output in manifest.outputs.items():
            assert deployment.sha256(f"{manifest.prefix}/{name}") == output.sha256
    assert (deployment.output / "report.html").stat().st_size > 10_000


def test_every_job_was_one_container_that_succeeded(deployment: Deployment) -> None:
    """They are real sibling containers of the training image, each launched once."""
    tasks = deployment.ecs_tasks()
    assert len(tasks) >= 3 * 5
    assert [deployment.last_log_line(task) for task in tasks if task["containers"][0]["exitCode"] != 0] == []
    assert {container["image"] for task in tasks for container in task["containers"]} == {"ratchet-training:test"}
    assert len({task["startedBy"] for task in tasks}) == len(tasks)


def test_a_job_that_was_stopped_or_killed_is_never_a_success(deployment: Deployment) -> None:
    """The try fails and the next one launches the job again; the log can be read while a job runs.

    One job is stopped, which this ECS reports with exit code 0, the other is killed like a job out of memory.
    """
    week, before = deployment.next_week, len(deployment.ledger.history())
    deployment.tap.launches.clear()
    deployment.tap.plan("score", "running", lambda: deployment.stop_job("score"))
    deployment.tap.plan("evaluate", "running", lambda: deployment.kill_job("evaluate"))
    run_id = deployment.trigger(week)
    until(lambda: deployment.log_contains_while_running(run_id, "retraining.train", "job starts"))
    assert deployment.until_ended(run_id, 6 * 60) == "success"
    assert deployment.tap.failures == []
    tried = {task["task_id"]: task["try_number"] for task in deployment.airflow.tasks(run_id)}
    assert (tried["retraining.score"], tried["retraining.evaluate"], tried["retraining.train"]) == (2, 2, 1)
    launches = sorted(deployment.tap.launches.values())
    assert launches in ([1, 1, 1, 2, 2], [1, 1, 1, 1, 2])  # a manifest published before the kill is found
    assert len(deployment.ledger.history()) == before + 1


def test_the_triggerer_can_run_the_callback_of_the_deadline(deployment: Deployment) -> None:
    """The triggerer finds it by its path; it reads no DAG."""
    command = (
        "PYTHONPATH=$AIRFLOW_HOME/releases/current "
        "python -c 'import orchestration.callbacks as c; print(c.notify_run_late)'"
    )
    assert "notify_run_late" in deployment.compose.output("exec", "-T", "airflow-triggerer", "sh", "-c", command)


def test_the_page_of_a_task_has_the_log_of_its_job_and_a_link_to_its_mlflow_run(deployment: Deployment) -> None:
    """The container's output is in Airflow's log; the link opens the run of this training."""
    path = "/api/v2/dags/review_sentiment/dagRuns/week_2__2026-01-19/taskInstances/retraining.train"
    log = deployment.airflow.call("GET", f"{path}/logs/1", headers={"Accept": "application/json"})
    assert '"event": "fit starts"' in str(log["content"]).replace('\\"', '"')
    links = deployment.airflow.call("GET", f"{path}/links")["extra_links"]
    assert links["MLflow run"].startswith(deployment.compose.env.urls["mlflow"])
    run = deployment.mlflow("runs/get", run_id=links["MLflow run"].rpartition("/")[2])["run"]
    assert run["info"]["status"] == "FINISHED"


def test_the_champion_page_requires_a_login(deployment: Deployment) -> None:
    """The decisions and their reasons are not public."""
    url = f"{deployment.compose.env.urls['airflow']}/champion/"
    assert httpx.get(f"{url}api/decisions").status_code == 401
    page = deployment.airflow.http.get(url)
    assert page.status_code == 200
    assert "Version" in page.text


def test_the_api_serves_the_champion(deployment: Deployment) -> None:
    """The serving container follows the ledger, and its prediction is in the log before the feedback arrives."""
    env = deployment.compose.env
    url, key = f"http://127.0.0.1:{env['SERVING_PORT']}", {"Authorization": f"Bearer {env['SERVING_KEY']}"}
    until(lambda: httpx.get(f"{url}/ready").status_code == 200)
    response = httpx.post(
        f"{url}/v1/predict", headers=key, json={"reviews": [{"text": "It broke after a week, awful."}]}
    )
    assert response.status_code == 200, response.text
    prediction = response.json()["predictions"][0]
    assert prediction["label"] == 0
    feedback = {"prediction_id": prediction["prediction_id"], "label": 0}
    result = httpx.post(f"{url}/v1/feedback", headers=key, json={"feedback": [feedback]})
    assert result.json()["feedback"] == [{"prediction_id": prediction["prediction_id"], "outcome": "added"}]


def test_a_released_dag_appears_and_a_deleted_one_disappears(deployment: Deployment, tmp_path: Path) -> None:
    """Airflow follows the bucket without a restart."""
    for prefix in ("dags", "plugins", "include"):
        shutil.copytree(PROJECT / prefix, tmp_path / prefix)
    (tmp_path / "dags" / "hello.py").write_text(
        "from airflow.sdk import dag\n\n\n@dag(schedule=None)\ndef hello() -> None: ...\n\n\nhello()\n"
    )
    deploy(deployment.compose.env, tmp_path)
    until(lambda: "hello" in deployment.dags())
    deploy(deployment.compose.env)
    until(lambda: "hello" not in deployment.dags())


def test_a_rejection_is_recorded_and_the_run_keeps_its_release(deployment: Deployment, tmp_path: Path) -> None:
    """The promotion waits, a release meanwhile does not affect the run, and the ledger has the rejecter's name."""
    before, champion = len(deployment.ledger.history()), deployment.ledger.champion().version
    run_id = deployment.trigger(deployment.next_week, require_approval=True)
    details = f"/api/v2/dags/review_sentiment/dagRuns/{run_id}/taskInstances/retraining.approve/-1/hitlDetails"
    until(lambda: deployment.airflow.http.get(details).status_code == 200)
    release = deployment.airflow.run(run_id)["bundle_version"]
    for prefix in ("dags", "plugins", "include"):
        shutil.copytree(PROJECT / prefix, tmp_path / prefix)
    with (tmp_path / "dags" / "review_sentiment.py").open("a") as file:
        file.write("# Another release.\n")
    assert deploy(deployment.compose.env, tmp_path).sha != release
    assert len(deployment.ledger.history()) == before
    deployment.airflow.call("PATCH", details, json={"chosen_options": ["Reject"]})
    assert deployment.until_ended(run_id, 120) == "success"
    assert deployment.airflow.run(run_id)["bundle_version"] == release
    decision = deployment.ledger.history()[-1]
    assert (decision.action, decision.approval.by, decision.champion) == ("keep", "admin", champion)
    deploy(deployment.compose.env)


def test_a_failure_is_reported_once(deployment: Deployment) -> None:
    """An unreadable batch fails its DAG run, and one message names the task, the reason and the remedy."""
    sns, sqs = deployment.aws("sns"), deployment.aws("sqs")
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn="arn:aws:sns:us-east-1:000000000000:ratchet-alerts", Protocol="sqs", Endpoint=arn)
    deployment.aws("s3").put_object(Bucket="ratchet", Key="incoming/batch_40.csv", Body=b"these are no reviews\n" * 50)
    run_id = deployment.trigger(40, window_end=40)
    assert deployment.until_ended(run_id, TIMEOUT) == "failed"
    messages = until(lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"))
    assert len(messages) == 1
    assert "data_engineering." in messages[0]["Body"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    assert (
        sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20).get("Messages", []) == []
    )  # from the callback of the DAG run
