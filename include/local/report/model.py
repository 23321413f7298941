"""The figures of every week, read from the manifests in the store and from the ledger; nothing is measured here."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ratchet.candidates import CANDIDATES
from ratchet.errors import LedgerError
from ratchet.jobs import keys, manifests
from ratchet.jobs.catalogue import JOBS
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.storage import Storage
from ratchet.ledger.decision import Check, Decision, Verdict
from ratchet.ledger.store import Ledger
from ratchet.windows import Window

TITLE = "Ratchet: weekly retraining of review sentiment"


class Run(Protocol):
    """A DAG run of one week that has ended, such as `local.progress.WeekRun`."""

    @property
    def week(self) -> int:
        """Number of the week, from 0."""

    @property
    def run_id(self) -> str:
        """Airflow's id of the run."""

    @property
    def seconds(self) -> float:
        """Wall clock of the run."""

    @property
    def skipped(self) -> bool:
        """Whether there was no new batch."""

    @property
    def failed(self) -> str | None:
        """Ids of the failed tasks, separated by commas."""


class JobFigures(BaseModel):
    """Duration, memory and rows of one job."""

    model_config = ConfigDict(frozen=True)

    job: str
    prefix: str
    seconds: float
    peak_memory_mib: float
    rows: dict[str, int]


class WeekReport(BaseModel):
    """One week: its jobs, the scores on the test set, and the decision. A figure that does not exist is None."""

    model_config = ConfigDict(frozen=True)

    week: int
    window: str
    rows: int = Field(description="Reviews in the window, for training and validation.")
    jobs: list[JobFigures] = Field(
        description="In the order in which they ended; a result that already existed ran no job."
    )
    seconds: float = Field(description="Wall clock of the DAG run, in seconds.")
    challenger_f1: float | None = Field(None, description="Macro-F1 of the challenger on the test set.")
    champion_f1: float | None = Field(
        None, description="Macro-F1 of the champion before the decision, on the same test set."
    )
    prequential_f1: float | None = Field(
        None, description="Macro-F1 of that champion on this week's batch, before training."
    )
    candidate: str = ""
    action: Literal["promote", "keep", "skip", "failed"]
    version: int | None = Field(None, description="The challenger's model version.")
    champion: int | None = Field(None, description="The champion's version after the decision.")
    reason: str = Field("", description="The reasons in short.")
    reasons: list[str] = []
    checks: list[Check] = []
    difference: float | None = Field(None, description="Macro-F1 of the challenger minus that of the champion.")
    interval: tuple[float, float] | None = Field(
        None, description="95 % interval of the difference, by a paired bootstrap."
    )
    p_value: float | None = Field(None, description="McNemar's exact test.")
    confusion: list[list[int]] | None = Field(
        None, description="Counts of the challenger's predictions on the test set, by [label][prediction]."
    )

    @property
    def service_f1(self) -> float | None:
        """Macro-F1 of the champion after the decision."""
        return self.challenger_f1 if self.action == "promote" else self.champion_f1


class Report(BaseModel):
    """The figures of all weeks of one run."""

    model_config = ConfigDict(frozen=True)

    title: str = TITLE
    headline: str
    source: str
    synthetic: bool
    started_at: datetime
    weeks: list[WeekReport]
    totals: dict[str, int | float] = Field(description="Seconds by kind, rows by outcome, weeks by action.")
    peak_memory_mib: dict[str, float] = Field(description="The largest peak of each kind of job, in MiB.")
    environment: dict[str, str | int | float]

    @classmethod
    def of(
        cls,
        weeks: Sequence[WeekReport],
        *,
        source: str,
        started_at: datetime,
        code_version: str,
        finished_at: datetime | None = None,
    ) -> Report:
        """Sum up finished weeks. A password in `source` is masked."""
        wall = (finished_at or datetime.now(UTC)) - started_at
        return cls(
            headline=headline(weeks),
            source=without_password(source),
            synthetic=source.startswith("synthetic:"),
            started_at=started_at,
            weeks=list(weeks),
            totals=_totals(weeks) | {"seconds": round(wall.total_seconds(), 1)},
            peak_memory_mib=_peaks(weeks),
            environment={
                "code_version": code_version,
                "cores": os.cpu_count() or 0,
                "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.machine()}",
            },
        )

    @property
    def final(self) -> WeekReport | None:
        """The week whose challenger is the champion at the end."""
        champion = self.weeks[-1].champion if self.weeks else None
        promoted = [week for week in self.weeks if week.action == "promote" and week.version == champion]
        return promoted[-1] if promoted else None


def collect(storage: Storage, ledger: Ledger, runs: Iterable[Run]) -> list[WeekReport]:
    """The figures of DAG runs that have ended, in their order."""
    weeks: list[WeekReport] = []
    made = _manifests(storage)
    for run in runs:
        weeks.append(_week(made, ledger, run, weeks[-1].champion if weeks else None))
    return weeks


def _week(made: dict[str, Manifest], ledger: Ledger, run: Run, champion: int | None) -> WeekReport:
    window = Window(run.week)
    trained = [made[prefix] for name in CANDIDATES if (prefix := keys.model(window, name)) in made]
    scored = made.get(keys.score(keys.batch_name(window.end)))
    decided = made.get(keys.decision(window))
    figures: dict[str, Any] = {"champion": champion}
    if decided:
        figures |= _decided(ledger.decision(PromoteDetails.of(decided).decision))
    elif run.skipped:
        figures |= _without_decision("skip", f"no new batch: batch {window.end} had not arrived")
    else:
        figures |= _without_decision("failed", f"{run.failed or 'the DAG run'} failed")
    return WeekReport(
        week=run.week,
        window=str(window),
        rows=sum(trained[0].rows.values()) if trained else 0,
        jobs=_jobs(manifest for manifest in made.values() if manifest.dag_run == run.run_id),
        seconds=round(run.seconds, 1),
        prequential_f1=scored.metrics.get("macro_f1") if scored else None,
        **figures,
    )


def _manifests(storage: Storage) -> dict[str, Manifest]:
    """Every manifest in the store, by its prefix."""
    return {prefix: found for prefix in manifests.prefixes(storage) if (found := manifests.find(storage, prefix))}


def _jobs(made: Iterable[Manifest]) -> list[JobFigures]:
    place = {name: number for number, name in enumerate(JOBS)}  # of jobs that finished within the same second
    ordered = sorted(made, key=lambda manifest: (manifest.finished_at, place.get(manifest.job, len(place))))
    fields = set(JobFigures.model_fields)
    return [JobFigures(**manifest.model_dump(include=fields)) for manifest in ordered]


def _without_decision(action: str, reason: str) -> dict[str, Any]:
    return {"action": action, "reason": reason, "reasons": [reason]}


def _decided(decision: Decision) -> dict[str, Any]:
    """The figures behind a decision of the gate, from its evidence and verdict in the ledger."""
    if decision.gate is None:
        raise LedgerError(f"Decision {decision.id} has no evidence to report. See `ratchet history`.")
    evidence, verdict = decision.gate.evidence, decision.gate.verdict
    compared = bool(evidence.champion_metrics)
    return {
        "action": decision.action,
        "version": decision.version,
        "champion": decision.champion,
        "candidate": decision.candidate,
        "reason": in_short(decision, verdict),
        "reasons": decision.reasons,
        "checks": verdict.checks,
        "challenger_f1": evidence.metrics.get("macro_f1"),
        "champion_f1": evidence.champion_metrics.get("macro_f1"),
        "difference": verdict.f1_difference if compared else None,
        "interval": verdict.interval if compared else None,
        "p_value": verdict.p_value if compared else None,
        "confusion": np.sum(evidence.outcomes, axis=1).tolist() if evidence.metrics else None,
    }


def in_short(decision: Decision, verdict: Verdict) -> str:
    """The reasons up to their colons, the improvement as its figure."""
    names = {check.message: check.name for check in verdict.checks}
    improvement = f"{verdict.f1_difference:+.4f} {'beyond' if decision.action == 'promote' else 'not beyond'} chance"
    short = (improvement if names.get(why) == "improvement" else why.partition(":")[0] for why in decision.reasons)
    return "; ".join(short)


def headline(weeks: Sequence[WeekReport]) -> str:
    """The outcome in one or two sentences."""
    if not weeks:
        return "No week was run."
    promoted = [week for week in weeks if week.action == "promote"]
    judged = len(promoted) + sum(week.action == "keep" for week in weeks)
    share = f"{len(promoted)} of {judged} challengers {'was' if len(promoted) == 1 else 'were'} promoted"
    failed = "".join(f"Week {week.week}: {week.reason}. " for week in weeks if week.action == "failed")
    if not promoted:
        return f"{failed}There is no champion: {share}."
    last = promoted[-1]
    gain = f", up from {promoted[0].challenger_f1:.4f} in week {promoted[0].week}" if len(promoted) > 1 else ""
    return f"{failed}Version {last.version} is champion with a macro-F1 of {last.challenger_f1:.4f}{gain}; {share}."


def without_password(source: str) -> str:
    """The source with its password masked."""
    password = urlsplit(source).password
    return source.replace(f":{password}@", ":***@", 1) if password else source


def _totals(weeks: Sequence[WeekReport]) -> dict[str, int | float]:
    jobs = [job for week in weeks for job in week.jobs]
    rows = {name: sum(job.rows.get(name, 0) for job in jobs) for name in ("read", "accepted", "quarantined")}
    actions = {action: sum(week.action == action for week in weeks) for action in ("promote", "keep", "skip", "failed")}
    return {
        "weeks": len(weeks),
        **actions,
        **{f"rows_{name}": count for name, count in rows.items()},
        "rows_test": max((job.rows.get("test", 0) for job in jobs), default=0),
        "jobs": len(jobs),
        "weeks_seconds": round(sum(week.seconds for week in weeks), 1),
        "jobs_seconds": round(sum(job.seconds for job in jobs), 1),
    }


def _peaks(weeks: Sequence[WeekReport]) -> dict[str, float]:
    jobs = [job for week in weeks for job in week.jobs]
    peaks = {name: max((job.peak_memory_mib for job in jobs if job.job == name), default=None) for name in JOBS}
    return {name: peak for name, peak in peaks.items() if peak is not None}
