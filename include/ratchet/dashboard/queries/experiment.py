"""Champion against challenger on real reviews: counts from the prediction log, and the verdict on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ratchet.dashboard.queries.log import has_log, read_only_connection
from ratchet.dashboard.settings import DashboardSettings
from ratchet.experiments.assignment import Experiment
from ratchet.experiments.comparison import ArmCounts, PairedCounts, Policy, Verdict, compare, compare_shadow
from ratchet.prediction_log.sinks.database import feedback, predictions


@dataclass(frozen=True)
class ExperimentCounts:
    """An experiment in which the challenger answers a share of the reviews, and the counts of both arms."""

    experiment: Experiment
    champion: ArmCounts
    challenger: ArmCounts

    @property
    def verdict(self) -> Verdict:
        """The verdict on the counts so far. It is valid however often it is computed."""
        return compare(self.champion, self.challenger, self.experiment.share, Policy())


@dataclass(frozen=True)
class ShadowComparison:
    """A challenger in shadow mode and the champion, on the same reviews with a true label.

    `champion` and `challenger` are model versions.
    """

    champion: int
    challenger: int
    seen: PairedCounts

    @property
    def verdict(self) -> Verdict:
        """The verdict on the counts so far. It is valid however often it is computed."""
        return compare_shadow(self.seen, Policy())


def latest_experiment(settings: DashboardSettings, since: datetime) -> ExperimentCounts | None:
    """The newest experiment in which a challenger answers a share of the reviews; None without one.

    Raises ServiceUnavailable or ConfigurationError if the log cannot be read.
    """
    is_right = sa.case((feedback.c.label == predictions.c.label, 1), else_=0)
    statement = (
        sa.select(
            predictions.c.experiment,
            predictions.c.arm,
            sa.func.count().label("answered"),
            sa.func.count(feedback.c.label).label("labelled"),
            sa.func.sum(is_right).label("right"),
            sa.func.max(predictions.c.at).label("last"),
        )
        .select_from(predictions.outerjoin(feedback, feedback.c.prediction_id == predictions.c.prediction_id))
        .where(predictions.c.at >= since, predictions.c.experiment != "", predictions.c.arm != "shadow")
        .group_by(predictions.c.experiment, predictions.c.arm)
    )
    rows = _fetch(settings, statement)
    if not rows:
        return None
    newest = max(rows, key=lambda row: row.last).experiment
    arms = {row.arm: _seen(row) for row in rows if row.experiment == newest}
    none = ArmCounts(answered=0, labelled=0, right=0)
    return ExperimentCounts(Experiment.parse(newest), arms.get("champion", none), arms.get("challenger", none))


def _seen(row: sa.Row[Any]) -> ArmCounts:
    return ArmCounts(answered=row.answered, labelled=row.labelled, right=row.right)


def latest_shadow_comparison(settings: DashboardSettings, since: datetime) -> ShadowComparison | None:
    """The newest pair of a champion and a challenger in shadow mode; None without one.

    Raises ServiceUnavailable or ConfigurationError if the log cannot be read.
    """
    champion, shadow = predictions.alias("champion"), predictions.alias("shadow")
    pairs = champion.join(
        shadow,
        sa.and_(
            shadow.c.prediction_id == champion.c.prediction_id, champion.c.arm == "champion", shadow.c.arm == "shadow"
        ),
    ).join(feedback, feedback.c.prediction_id == champion.c.prediction_id)
    champion_right = champion.c.label == feedback.c.label
    shadow_right = shadow.c.label == feedback.c.label
    cells = {
        "both": sa.and_(champion_right, shadow_right),
        "champion": sa.and_(champion_right, sa.not_(shadow_right)),
        "challenger": sa.and_(sa.not_(champion_right), shadow_right),
        "neither": sa.and_(sa.not_(champion_right), sa.not_(shadow_right)),
    }
    statement = (
        sa.select(
            champion.c.model_version.label("champion_version"),
            shadow.c.model_version.label("challenger_version"),
            *(sa.func.sum(sa.case((cell, 1), else_=0)).label(name) for name, cell in cells.items()),
        )
        .select_from(pairs)
        .where(champion.c.at >= since, shadow.c.at >= since)
        .group_by(champion.c.model_version, shadow.c.model_version)
        .order_by(sa.func.max(shadow.c.at).desc())
        .limit(1)
    )
    for row in _fetch(settings, statement):
        counts = row._asdict()
        versions = counts.pop("champion_version"), counts.pop("challenger_version")
        return ShadowComparison(*versions, PairedCounts(**counts))
    return None


def _fetch(settings: DashboardSettings, statement: sa.Select[Any]) -> list[sa.Row[Any]]:
    """The rows of a query; none if nothing was ever logged."""
    with read_only_connection(settings) as connection:
        return list(connection.execute(statement)) if has_log(connection) else []
