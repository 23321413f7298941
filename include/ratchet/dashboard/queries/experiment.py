"""Champion against challenger: what the prediction log counted of either, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ratchet.dashboard.queries.log import connected, has_log
from ratchet.dashboard.settings import DashboardSettings
from ratchet.experiments.assignment import Experiment
from ratchet.experiments.comparison import ArmCounts, PairedCounts, Policy, Verdict, compare, compare_shadow
from ratchet.prediction_log.sinks.database import feedback, predictions


@dataclass(frozen=True)
class Drawn:
    """An experiment in which the challenger answers a share of the reviews, and how both arms fared."""

    experiment: Experiment
    champion: ArmCounts
    challenger: ArmCounts

    @property
    def verdict(self) -> Verdict:
        """What the counts say by now, at whatever look this is."""
        return compare(self.champion, self.challenger, self.experiment.share, Policy())


@dataclass(frozen=True)
class Shade:
    """A challenger that read along unheard, and how it fared beside the champion where the truth is known."""

    champion: int
    challenger: int
    seen: PairedCounts

    @property
    def verdict(self) -> Verdict:
        """What the counts say by now, at whatever look this is."""
        return compare_shadow(self.seen, Policy())


def drawn(settings: DashboardSettings, since: datetime) -> Drawn | None:
    """The newest experiment that drew reviews; None without one."""
    right = sa.case((feedback.c.label == predictions.c.label, 1), else_=0)
    question = (
        sa.select(
            predictions.c.experiment,
            predictions.c.arm,
            sa.func.count().label("answered"),
            sa.func.count(feedback.c.label).label("labelled"),
            sa.func.sum(right).label("right"),
            sa.func.max(predictions.c.at).label("last"),
        )
        .select_from(predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id))
        .where(predictions.c.at >= since, predictions.c.experiment != "", predictions.c.arm != "shadow")
        .group_by(predictions.c.experiment, predictions.c.arm)
    )
    rows = _asked(settings, question)
    if not rows:
        return None
    newest = max(rows, key=lambda row: row.last).experiment
    arms = {row.arm: _seen(row) for row in rows if row.experiment == newest}
    nobody = ArmCounts(answered=0, labelled=0, right=0)
    return Drawn(Experiment.parse(newest), arms.get("champion", nobody), arms.get("challenger", nobody))


def _seen(row: sa.Row) -> ArmCounts:
    return ArmCounts(answered=row.answered, labelled=row.labelled, right=row.right)


def shadowed(settings: DashboardSettings, since: datetime) -> Shade | None:
    """The newest pair of versions that read the same reviews, of which one was not heard; None without one."""
    champion, shadow = predictions.alias("champion"), predictions.alias("shadow")
    heard = champion.join(
        shadow,
        sa.and_(
            shadow.c.prediction_id == champion.c.prediction_id, champion.c.arm == "champion", shadow.c.arm == "shadow"
        ),
    ).join(feedback, feedback.c.prediction_id == champion.c.prediction_id)
    first, second = champion.c.label == feedback.c.label, shadow.c.label == feedback.c.label
    cells = {
        "both": sa.and_(first, second),
        "champion": sa.and_(first, sa.not_(second)),
        "challenger": sa.and_(sa.not_(first), second),
        "neither": sa.and_(sa.not_(first), sa.not_(second)),
    }
    question = (
        sa.select(
            champion.c.model_version.label("before"),
            shadow.c.model_version.label("after"),
            *(sa.func.sum(sa.case((cell, 1), else_=0)).label(name) for name, cell in cells.items()),
        )
        .select_from(heard)
        .where(champion.c.at >= since, shadow.c.at >= since)
        .group_by(champion.c.model_version, shadow.c.model_version)
        .order_by(sa.func.max(shadow.c.at).desc())
        .limit(1)
    )
    for row in _asked(settings, question):
        counts = row._asdict()
        return Shade(counts.pop("before"), counts.pop("after"), PairedCounts(**counts))
    return None


def _asked(settings: DashboardSettings, question: sa.Select) -> list[sa.Row]:
    with connected(settings) as connection:
        return list(connection.execute(question)) if has_log(connection) else []
