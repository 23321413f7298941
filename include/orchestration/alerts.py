"""One message per cause to the SNS topic, and no message lost.

What was told is a table beside the ledger. Its transaction is held while SNS takes the message: others who would tell
the same wait and then find it told, and a process that is killed meanwhile leaves no trace, so that the next one tells
it. Hence once, except after a kill between SNS and the commit, or without the ledger: twice is better than never.
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
SUBJECT, WORDS = 100, 4_000
"""Characters: of a subject, SNS's limit; of one paragraph, what a person reads."""

SECRET = re.compile(r"(?i)\b(\w*(?:password|passwd|pwd|secret|token|access_key)\w*[\"']?\s*[=:]\s*)[\"']?[^\s\"',;&]+")

metadata = sa.MetaData()
told = sa.Table(
    "alerts",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("told_at", sa.Text, nullable=False),
)

_ALONE = {
    "postgresql": [
        "SET LOCAL lock_timeout = '60s'",  # SNS takes a fraction of it; a process that hangs silences nobody for longer
        "SELECT pg_advisory_xact_lock(hashtext('ratchet alerts'))",
    ],
    "sqlite": ["BEGIN IMMEDIATE"],
}


@dataclass(frozen=True)
class Alert:
    """A message, and what makes it the same as another: the attempt of a DAG run and the cause.

    `covered` says that any message about this attempt is as good.
    """

    run: str
    cause: str
    subject: str
    body: str
    covered: bool = False

    def without_secrets(self) -> Alert:
        """Mail is read by more people than logs."""
        return replace(self, **{name: without_secrets(getattr(self, name)) for name in ("cause", "subject", "body")})


def tell(alert: Alert) -> None:
    """Publish an alert unless its cause was told; without a topic, only log it. Raises nothing that hides a failure."""
    from botocore.exceptions import BotoCoreError, ClientError

    topic, alert = AlertSettings().topic, alert.without_secrets()
    subject, body = alert.subject, alert.body
    if not topic:
        log.error("%s\n%s", subject, body)
        return
    sent = False
    try:
        with _first(alert) as first:
            if first:
                publish(topic, subject, body)
                sent = True
        log.error("%s\n%s", subject, body)
        log.info("Published to %s." if first else "This cause was published to %s before.", topic)
    except (BotoCoreError, ClientError) as error:
        log.error("SNS did not take this message (%s). It is: %s\n%s", error, subject, body)
    except (sa.exc.SQLAlchemyError, RatchetError) as error:
        log.error("%s\n%s", subject, body)
        log.error("The ledger cannot say whether this was told (%s), so it is told now.", without_secrets(str(error)))
        if not sent:
            _publish_anyway(topic, subject, body)


def _publish_anyway(topic: str, subject: str, body: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        publish(topic, subject, body)
    except (BotoCoreError, ClientError) as error:
        log.error("SNS did not take it either: %s", error)


def publish(topic: str, subject: str, body: str) -> None:
    """Hand a message to SNS. A failing task waits for this, so an outage costs it seconds, not minutes."""
    import boto3
    from botocore.config import Config

    region = topic.split(":")[3] if topic.count(":") >= 5 else None
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 2})
    ascii_line = re.sub(r"[^ -~]+", " ", subject.encode("ascii", "replace").decode())[:SUBJECT]
    boto3.client("sns", region_name=region, config=config).publish(TopicArn=topic, Subject=ascii_line, Message=body)


@contextmanager
def _first(alert: Alert) -> Iterator[bool]:
    """Whether nobody has told of this cause. If so, it is told once the block has ended well."""
    engine = sa.create_engine(Settings().ledger_url.get_secret_value(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        upgrade(connection, LEDGER)
    with engine.begin() as connection:
        for statement in _ALONE[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        same = [told.c.run == alert.run] if alert.covered else [told.c.run == alert.run, told.c.cause == alert.cause]
        first = connection.execute(sa.select(told.c.cause).where(*same)).first() is None
        yield first
        if first:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            row = {"run": alert.run, "cause": alert.cause, "subject": alert.subject, "told_at": now}
            connection.execute(told.insert().values(row))


def without_secrets(text: str) -> str:
    """What an error said, with neither the password of a URL nor the value of anything called password, token, …"""
    return SECRET.sub(r"\1***", PASSWORD.sub("://***@", text))
