"""One message per cause, with a real SNS endpoint and queue, real databases, real processes, and kill -9."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy as sa

from local.processes import postgres, services
from local.processes.children import Children, free_port
from orchestration.alerts import Alert, notify, redact

ALERT = Alert("review_sentiment/monday/0", "retraining.train: out of memory", "Ratchet: train failed", "Why: memory")
numbers = itertools.count()

NOTIFY = """
import signal, sys
from orchestration import alerts

stop, real = sys.argv[1], alerts.publish

def publish(*message):
    if stop == "before":
        print("claimed", flush=True), signal.pause()
    real(*message)
    if stop == "after":
        print("published", flush=True), signal.pause()
    if stop == "slow":
        print("published", flush=True), sys.stdin.readline()

alerts.publish = publish
print("ready", flush=True)
alerts.notify(alerts.Alert(*sys.argv[2:6]))
"""


@dataclass(frozen=True)
class Inbox:
    """A queue that is subscribed to the topic."""

    sqs: Any
    queue: str

    def messages(self) -> list[dict[str, str]]:
        """All messages since the last call. SNS delivers before it responds, so there is nothing to wait for."""
        found = []
        while batch := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of SNS and SQS; a queue shows what subscribers receive."""
    root, port = tmp_path_factory.mktemp("aws"), free_port()
    env = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SERVICES": "sns,sqs,sts", "STATE_DIR": str(root)}
    with Children(root / "logs") as children:
        children.start("aws", [sys.executable, "-m", "ministack"], {**os.environ, **env})
        children.wait_for("aws", f"http://127.0.0.1:{port}/_ministack/health")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.running(tmp_path_factory.mktemp("postgres")) as urls:
        yield urls["ratchet"]


@pytest.fixture(params=["postgresql", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of each kind of ledger, without any alerts."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("database")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return url


@pytest.fixture
def inbox(endpoint: str, ledger: str, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """A topic for this test alone, which the settings name, and a queue that is subscribed to it."""
    for name, value in services.aws_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    name = f"alerts-{next(numbers)}"
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("RATCHET_ALERTS_TOPIC", topic)
    monkeypatch.setenv("RATCHET_LEDGER", ledger)
    return Inbox(sqs, queue)


def notifying(stop: str) -> subprocess.Popen[str]:
    """A process that publishes the alert and stops at one point: `before`, `after`, `slow`, or `never`."""
    fields = [ALERT.attempt, ALERT.cause, ALERT.subject, ALERT.body]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", NOTIFY, stop, *fields]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert next_line(process) == "ready\n"
    return process


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_a_cause_is_published_once(inbox: Inbox) -> None:
    """The same cause in the same attempt is one message; another cause, or another attempt, is another."""
    for alert in (ALERT, ALERT, replace(ALERT, body="the twentieth mapped task")):
        notify(alert)
    (message,) = inbox.messages()
    assert (message["Subject"], message["Message"]) == (ALERT.subject, ALERT.body)
    notify(replace(ALERT, cause="retraining.train: no space left"))
    notify(replace(ALERT, attempt="review_sentiment/monday/1"))
    assert len(inbox.messages()) == 2


def test_an_alert_only_if_first_is_published_only_if_no_other_was(inbox: Inbox) -> None:
    """A failed DAG run is reported only if its task has not reported the failure itself, because it was killed."""
    run = replace(ALERT, cause="run: task_failure", subject="Ratchet: a run failed", only_if_first=True)
    notify(ALERT)
    notify(run)
    assert [message["Subject"] for message in inbox.messages()] == [ALERT.subject]
    notify(replace(run, attempt="review_sentiment/tuesday/0"))
    assert [message["Subject"] for message in inbox.messages()] == [run.subject]


def test_two_concurrent_processes_publish_once(inbox: Inbox) -> None:
    """The second process waits until the first has committed, and then finds the row."""
    with notifying("slow") as first:
        assert next_line(first) == "published\n"
        with notifying("never") as second:
            first.communicate("go on\n")
            second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize(("stop", "messages"), [("before", 1), ("after", 2)])
def test_no_message_is_lost_to_kill_9(inbox: Inbox, stop: str, messages: int) -> None:
    """Killed before SNS, the next process publishes the alert; killed after SNS, the alert is published twice."""
    with notifying(stop) as killed:
        assert next_line(killed)
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    notify(ALERT)
    notify(ALERT)
    assert len(inbox.messages()) == messages


def test_after_an_outage_of_sns_the_alert_is_in_the_log_and_published_later(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No error reaches the failed task, and the alert does not count as published."""
    with monkeypatch.context() as outage:
        outage.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        notify(ALERT)
    assert "SNS did not accept this alert" in caplog.text
    assert ALERT.body in caplog.text
    notify(ALERT)
    assert len(inbox.messages()) == 1


def test_without_the_ledger_the_alert_is_published(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of the ledger must be reported, without its password."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:hush@127.0.0.1:{free_port()}/ratchet")
    notify(ALERT)
    assert len(inbox.messages()) == 1
    assert "so it is published now" in caplog.text
    assert "hush" not in caplog.text


def test_without_a_topic_the_alert_is_only_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop has no topic; neither SNS nor the ledger is used."""
    monkeypatch.delenv("RATCHET_ALERTS_TOPIC", raising=False)
    with caplog.at_level(logging.ERROR):
        notify(ALERT)
    assert ALERT.subject in caplog.text


def test_a_subject_is_one_line_of_100_ascii_characters(inbox: Inbox) -> None:
    """SNS refuses any other subject."""
    notify(replace(ALERT, subject="Ratchet: Größe\nBcc: all " + "x" * 200))
    (message,) = inbox.messages()
    assert message["Subject"].startswith("Ratchet: Gr??e Bcc: all xxx")
    assert len(message["Subject"]) == 100


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://me:hush@db/ledger did not answer",
        "connection failed: host=db password=hush",
        "{'AWS_SECRET_ACCESS_KEY': 'hush', 'region': 'x'}",
        'RATCHET_API_TOKEN="hush"',
    ],
)
def test_a_message_contains_no_password(text: str) -> None:
    """Passwords are redacted in every form in which libraries print them."""
    assert "hush" not in redact(text)
    assert "***" in redact(text)
