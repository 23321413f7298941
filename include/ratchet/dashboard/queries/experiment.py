"""Champion against challenger where both answered: what the prediction log counted, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ratchet.dashboard.queries import intervals
from ratchet.dashboard.queries.log import connected, feedback, has_log, predictions
from ratchet.dashboard.settings import DashboardSettings


@dataclass(frozen=True)
class Arm:
    """How one arm fared while both were asked: answers, those with a true label, and those of them that were right."""

    version: int
    answered: int
    known: int
    right: int


def pair(settings: DashboardSettings, since: datetime) -> tuple[Arm, Arm] | None:
    """Champion and challenger of the newest experiment, over the time in which both answered; None without one."""
    rows = sa.select(predictions.c.arm, predictions.c.model_version, predictions.c.at).where(
        predictions.c.at >= since, predictions.c.arm.in_(["champion", "challenger"])
    )
    with connected(settings) as connection:
        if not has_log(connection):
            return None
        newest = rows.order_by(predictions.c.at.desc()).limit(1)
        challenger = connection.execute(newest.where(predictions.c.arm == "challenger")).first()
        if challenger is None:
            return None
        until = _its(rows, challenger).with_only_columns(sa.func.max(predictions.c.at)).scalar_subquery()
        champion = connection.execute(newest.where(predictions.c.arm == "champion", predictions.c.at <= until)).first()
        if champion is None:
            return None
        both = sa.union_all(_its(rows, challenger), _its(rows, champion)).subquery()
        spans = sa.select(sa.func.min(both.c.at).label("first"), sa.func.max(both.c.at).label("last"))
        spans = spans.group_by(both.c.arm).subquery()
        first, last = sa.select(sa.func.max(spans.c.first)), sa.select(sa.func.min(spans.c.last))
        return tuple(
            _fared(connection, each.model_version, _its(rows, each), first.scalar_subquery(), last.scalar_subquery())
            for each in (champion, challenger)
        )


def _its(rows: sa.Select, arm: sa.Row) -> sa.Select:
    """The rows of one arm and its version."""
    return rows.where(predictions.c.arm == arm.arm, predictions.c.model_version == arm.model_version)


def _fared(
    connection: sa.Connection, version: int, rows: sa.Select, first: sa.ScalarSelect, last: sa.ScalarSelect
) -> Arm:
    right = sa.case((feedback.c.label == predictions.c.label, 1), else_=0)
    known = predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id)
    counts = (sa.func.count(), sa.func.count(feedback.c.label), sa.func.coalesce(sa.func.sum(right), 0))
    question = rows.with_only_columns(*counts).select_from(known).where(predictions.c.at.between(first, last))
    return Arm(version, *connection.execute(question).one())


@dataclass(frozen=True)
class Compared:
    """Challenger minus champion in accuracy, with its interval, and what that comes to in words."""

    difference: float
    low: float
    high: float
    says: str


def compared(champion: Arm, challenger: Arm) -> Compared:
    """One look at both arms. This is the place where a sequential test belongs, which stays valid look after look."""
    low, high = intervals.difference(challenger.right, challenger.known, champion.right, champion.known)
    says = "No difference beyond chance so far."
    if low > 0:
        says = "The challenger is more accurate, beyond chance for a single look."
    if high < 0:
        says = "The champion is more accurate, beyond chance for a single look."
    return Compared(challenger.right / challenger.known - champion.right / champion.known, low, high, says)
