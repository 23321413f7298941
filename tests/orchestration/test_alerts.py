"""One message per cause: a real SNS endpoint with a queue behind it, real databases, real processes, and kill -9."""

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
from orchestration import alerts
from orchestration.alerts import Alert, tell, without_secrets

ALERT = Alert("review_sentiment/monday/0", "retraining.train: out of memory", "Ratchet: train failed", "Why: memory")
numbers = itertools.count()

TELL = """
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
alerts.tell(alerts.Alert(*sys.argv[2:6]))
"""


@dataclass(frozen=True)
class Inbox:
    """A queue that is subscribed to the topic."""

    sqs: Any
    queue: str

    def messages(self) -> list[dict[str, str]]:
        """All that came since the last look. SNS hands on before it answers, so there is nothing to wait for."""
        found = []
        while batch := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SNS and SQS; the queue is only here to see what subscribers get."""
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
    """The URL of each kind of ledger, without any alert in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url = request.getfixturevalue("database")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        alerts.told.drop(connection, checkfirst=True)
    engine.dispose()
    return url


@pytest.fixture
def inbox(endpoint: str, ledger: str, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """A topic of this test alone, which the settings name, and the queue behind it."""
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


def telling(stop: str) -> subprocess.Popen[str]:
    """A process that is about to tell the alert, and stops at a point of it."""
    words = [ALERT.run, ALERT.cause, ALERT.subject, ALERT.body]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", TELL, stop, *words], env=env, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_cause_is_told_once(inbox: Inbox) -> None:
    """The same cause in the same attempt is one message; another cause, or another attempt, is another."""
    for alert in (ALERT, ALERT, replace(ALERT, body="the twentieth mapped task")):
        tell(alert)
    (message,) = inbox.messages()
    assert (message["Subject"], message["Message"]) == (ALERT.subject, ALERT.body)
    tell(replace(ALERT, cause="retraining.train: no space left"))
    tell(replace(ALERT, run="review_sentiment/monday/1"))
    assert len(inbox.messages()) == 2


def test_a_covered_alert_is_told_only_if_nothing_else_was(inbox: Inbox) -> None:
    """That a run failed needs no telling once its task has told why; but a task that was killed could not."""
    run = replace(ALERT, cause="run: task_failure", subject="Ratchet: a run failed", covered=True)
    tell(ALERT)
    tell(run)
    assert [message["Subject"] for message in inbox.messages()] == [ALERT.subject]
    tell(replace(run, run="review_sentiment/tuesday/0"))
    assert [message["Subject"] for message in inbox.messages()] == [run.subject]


def test_two_processes_at_once_tell_once(inbox: Inbox) -> None:
    """The second waits until the first has committed, and then finds it told."""
    with telling("slow") as first:
        assert first.stdout.readline() == "published\n"
        with telling("never") as second:
            first.communicate("go on\n")
            second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize(("stop", "messages"), [("before", 1), ("after", 2)])
def test_no_message_is_lost_to_kill_9(inbox: Inbox, stop: str, messages: int) -> None:
    """Killed before SNS took it, it is told by the next one; killed behind that, it is told twice rather than never."""
    with telling(stop) as killed:
        assert killed.stdout.readline()
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    tell(ALERT)
    tell(ALERT)
    assert len(inbox.messages()) == messages


def test_an_outage_of_sns_is_logged_with_the_message_and_told_later(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised into the task that failed, and the failure does not count as told."""
    with monkeypatch.context() as outage:
        outage.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        tell(ALERT)
    assert "SNS did not take this message" in caplog.text
    assert ALERT.body in caplog.text
    tell(ALERT)
    assert len(inbox.messages()) == 1


def test_without_the_ledger_it_is_told_all_the_same(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger's outage is what people must hear of; and its password is not."""
    monkeypatch.setenv("RATCHET_LEDGER", f"postgresql+psycopg://me:hush@127.0.0.1:{free_port()}/ratchet")
    tell(ALERT)
    assert len(inbox.messages()) == 1
    assert "so it is told now" in caplog.text
    assert "hush" not in caplog.text


def test_without_a_topic_it_is_only_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop nobody subscribes, and nothing but the log is touched."""
    monkeypatch.delenv("RATCHET_ALERTS_TOPIC", raising=False)
    with caplog.at_level(logging.ERROR):
        tell(ALERT)
    assert ALERT.subject in caplog.text


def test_a_subject_is_one_line_of_100_ascii_characters(inbox: Inbox) -> None:
    """SNS refuses any other."""
    tell(replace(ALERT, subject="Ratchet: Größe\nBcc: all " + "x" * 200))
    (message,) = inbox.messages()
    assert message["Subject"].startswith("Ratchet: Gr??e Bcc: all xxx")
    assert len(message["Subject"]) == 100


@pytest.mark.parametrize(
    "said",
    [
        "postgresql+psycopg://me:hush@db/ledger did not answer",
        "connection failed: host=db password=hush",
        "{'AWS_SECRET_ACCESS_KEY': 'hush', 'region': 'x'}",
        'RATCHET_API_TOKEN="hush"',
    ],
)
def test_a_message_holds_no_password(said: str) -> None:
    """Whatever form a library gives it."""
    assert "hush" not in without_secrets(said)
    assert "***" in without_secrets(said)
