"""Publish one message per cause to the SNS topic, and lose none.

A table beside the ledger records which alerts were published. Its transaction stays open while SNS accepts the
message: other processes with the same alert wait for it, then find the row. If the process is killed meanwhile, the
row is rolled back and the next process publishes the alert. An alert is therefore published once, with two exceptions:
after a kill between SNS and the commit, and while the ledger does not answer, it is published again rather than lost.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from orchestration.settings import AlertSettings
from ratchet.db.schema import LEDGER, upgrade
from ratchet.errors import PASSWORD, RatchetError
from ratchet.settings import Settings

log = logging.getLogger(__name__)
MAX_SUBJECT = 100
"""Characters of a subject, a limit of SNS."""
MAX_REASON = 4_000
"""Characters of a reason; more of it does not help in a mail."""

SECRET = re.compile(r"(?i)\b(\w*(?:password|passwd|pwd|secret|token|access_key)\w*[\"']?\s*[=:]\s*)[\"']?[^\s\"',;&]+")

metadata = sa.MetaData()
published_alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("run", sa.Text, primary_key=True, key="attempt"),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("told_at", sa.Text, nullable=False, key="published_at"),
)

_LOCK_STATEMENTS = {
    "postgresql": [
        "SET LOCAL lock_timeout = '60s'",  # SNS needs a fraction of it; a hanging process blocks the others no longer
        "SELECT pg_advisory_xact_lock(hashtext('ratchet alerts'))",
    ],
    "sqlite": ["BEGIN IMMEDIATE"],
}


@dataclass(frozen=True)
class Alert:
    """A message, identified by its attempt and its cause.

    `attempt` is a DAG run between two clearings, for example `review_sentiment/scheduled__2026-01-05/0`. With
    `only_if_first`, the message is not published if any other alert about this attempt has been.
    """

    attempt: str
    cause: str
    subject: str
    body: str
    only_if_first: bool = False

    def redacted(self) -> Alert:
        """A copy without secrets, because more people read mail than logs."""
        return replace(self, cause=redact(self.cause), subject=redact(self.subject), body=redact(self.body))


def notify(alert: Alert) -> None:
    """Log an alert and, if there is a topic, publish it unless it has been published before.

    Errors of SNS and of the ledger are logged, not raised: they would hide the failure that the alert is about.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    topic, alert = AlertSettings().topic, alert.redacted()
    log.error("%s\n%s", alert.subject, alert.body)
    if not topic:
        return
    sent = False
    try:
        with _first_of_its_kind(alert) as first:
            if first:
                publish(topic, alert.subject, alert.body)
                sent = True
        log.info("Published to %s." if first else "This cause was published to %s before.", topic)
    except (BotoCoreError, ClientError) as error:
        _log_failure("SNS did not accept this alert, so it counts as not published", error)
    except (sa.exc.SQLAlchemyError, RatchetError) as error:
        _log_failure("The ledger cannot tell whether this alert was published, so it is published now", error)
        if not sent:
            _publish_without_ledger(topic, alert)


def _publish_without_ledger(topic: str, alert: Alert) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        publish(topic, alert.subject, alert.body)
    except (BotoCoreError, ClientError) as error:
        _log_failure("SNS did not accept this alert either", error)


def _log_failure(message: str, error: Exception) -> None:
    """Log an error by its message alone: a traceback can quote the ledger's URL with its password."""
    log.error("%s: %s", message, redact(str(error)))


def publish(topic: str, subject: str, body: str) -> None:
    """Send a message to SNS. The failing task waits for this, so the client gives up an outage within seconds."""
    import boto3
    from botocore.config import Config

    region = topic.split(":")[3] if topic.count(":") >= 5 else None
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 2})
    ascii_line = re.sub(r"[^ -~]+", " ", subject.encode("ascii", "replace").decode())[:MAX_SUBJECT]
    boto3.client("sns", region_name=region, config=config).publish(TopicArn=topic, Subject=ascii_line, Message=body)


@contextmanager
def _first_of_its_kind(alert: Alert) -> Iterator[bool]:
    """Yield whether the alert has to be published; if so, record it as published when the block ends without an error.

    Other processes that enter meanwhile wait.
    """
    columns = published_alerts.c
    engine = sa.create_engine(Settings().ledger_url.get_secret_value(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        upgrade(connection, LEDGER)
    with engine.begin() as connection:
        for statement in _LOCK_STATEMENTS[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        same = [columns.attempt == alert.attempt]
        if not alert.only_if_first:
            same.append(columns.cause == alert.cause)
        first = connection.execute(sa.select(columns.cause).where(*same)).first() is None
        yield first
        if first:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            row = {"attempt": alert.attempt, "cause": alert.cause, "subject": alert.subject, "published_at": now}
            connection.execute(published_alerts.insert().values(row))


def redact(text: str) -> str:
    """The text with `***` for passwords in URLs and for values of names such as `password`, `token` or `secret`."""
    return SECRET.sub(r"\1***", PASSWORD.sub("://***@", text))
