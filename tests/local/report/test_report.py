"""The report: figures from a store and a ledger, the table in the terminal, the HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console, RenderableType
from rich.spinner import Spinner

from local.report import JobFigures, Report, WeekReport, collect, render_page, week_line, weeks_table, write
from ratchet.candidates import FEATURIZER
from ratchet.jobs import keys
from ratchet.jobs.manifests import Manifest
from ratchet.jobs.promote import PromoteDetails
from ratchet.jobs.storage import FolderStorage
from ratchet.ledger.decision import Check, Decision, Evidence, GatePolicy, GateRecord
from ratchet.ledger.store import Champion, Ledger
from ratchet.promotion.gate import decide
from ratchet.windows import Window

STARTED = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
FIRST = [[[430, 0], [0, 70]], [[80, 0], [0, 420]]]  # no champion: its predictions repeat the challenger's
BETTER = [[[425, 5], [40, 30]], [[35, 45], [5, 415]]]
WORSE = [[[400, 65], [5, 30]], [[30, 10], [55, 405]]]


@dataclass(frozen=True)
class FakeRun:
    """A DAG run that has ended, without Airflow."""

    week: int
    seconds: float = 12.34
    skipped: bool = False
    failed: str | None = None

    @property
    def run_id(self) -> str:
        return f"run-{self.week}"


class FakeWeeks:
    """A folder store and a ledger in which weeks have been decided, without any job."""

    def __init__(self, folder: Path) -> None:
        self.storage = FolderStorage(folder)
        self.ledger = Ledger(SecretStr(f"sqlite:///{folder}/ledger.db"), "review-sentiment")

    def finish(self, job: str, prefix: str, week: int, **facts: object) -> None:
        manifest = Manifest(
            job=job, prefix=prefix, seconds=2.5, peak_memory_mib=100.0 + week, dag_run=f"run-{week}", **facts
        )
        self.storage.write(keys.manifest(prefix), manifest.model_dump_json().encode())

    def decide(self, week: int, outcomes: list[list[list[int]]]) -> Decision:
        """Write what a week writes that decides on version `week` + 1."""
        window, champion, batch = Window(week), self.ledger.champion(), keys.batch_name(week)
        if week == 0:
            self.finish(
                "preprocess", keys.processed(keys.SEED), 0, rows={"read": 90, "accepted": 80, "quarantined": 10}
            )
        else:
            self.finish("score", keys.score(batch), week, metrics={"macro_f1": 0.8})
        self.finish("featurize", keys.features(FEATURIZER, batch), week, rows={"train": 8, "validation": 2})
        self.finish("train", keys.model(window, "linear-svc"), week, rows={"train": 80, "validation": 20})
        self.finish("evaluate", keys.evaluation(window), week, rows={"test": 1000})
        evidence = Evidence(
            window=str(window),
            candidate="linear-svc",
            version=week + 1,
            model_digest="m",
            champion_epoch=champion.epoch,
            champion_version=champion.version,
            test_digest="t",
            outcomes=outcomes,
            metrics={"macro_f1": 0.85 + week / 100, "accuracy": 0.85, "ece": 0.01},
            champion_metrics={"macro_f1": 0.84} if champion.version else {},
            validation={"accuracy": 0.85},
            validation_rows=20,
        )
        verdict = decide(evidence, GatePolicy())
        decision = Decision(
            subject=f"{window}/x",
            action="promote" if verdict.promote else "keep",
            version=week + 1,
            previous=champion.version,
            window=str(window),
            candidate="linear-svc",
            reasons=verdict.reasons,
            gate=GateRecord(evidence=evidence, policy=GatePolicy(), verdict=verdict),
        )
        recorded = self.ledger.record(decision, champion)
        details = PromoteDetails(
            decision=recorded.id, action=recorded.action, version=recorded.version, champion=recorded.champion,
            reasons=recorded.reasons, checks=[],
        )  # fmt: skip
        self.finish("promote", keys.decision(window), week, details=details.model_dump())
        return recorded


@pytest.fixture
def weeks(tmp_path: Path) -> FakeWeeks:
    return FakeWeeks(tmp_path)


def a_week(number: int = 1, **facts: object) -> WeekReport:
    jobs = [
        JobFigures(job=job, prefix=job, seconds=3.2, peak_memory_mib=321.0, rows={})
        for job in ("featurize", "score", "train", "evaluate", "promote")
    ]
    usual = {
        "week": number,
        "window": f"0-{number}",
        "rows": 1000 * (number + 1),
        "jobs": jobs,
        "seconds": 20.0,
        "challenger_f1": 0.9,
        "champion_f1": 0.89,
        "prequential_f1": 0.88,
        "candidate": "linear-svc",
        "action": "promote",
        "version": number + 1,
        "champion": number + 1,
        "reason": "+0.0100 beyond chance",
        "reasons": ["an improvement beyond chance: macro-F1 +0.0100"],
        "checks": [Check(name="floor", passed=True, message="macro-F1 0.9000 is above the floor 0.7")],
        "difference": 0.01,
        "interval": (0.004, 0.016),
        "confusion": [[430, 70], [80, 420]],
    }
    return WeekReport.model_validate(usual | facts)


def first_week() -> WeekReport:
    return a_week(0, champion_f1=None, prequential_f1=None, difference=None, interval=None, reason="no champion yet")


def kept_week(number: int = 2) -> WeekReport:
    return a_week(number, action="keep", champion=1, difference=-0.001, interval=(-0.005, 0.003), reason="not better")


def skipped_week(number: int = 3) -> WeekReport:
    blank = dict.fromkeys(("challenger_f1", "champion_f1", "prequential_f1", "difference", "interval", "confusion"))
    return a_week(number, action="skip", jobs=[], checks=[], reason="no new batch", reasons=["no new batch"], **blank)


def a_report(rows: list[WeekReport], source: str = "synthetic:") -> Report:
    return Report.of(
        rows, source=source, started_at=STARTED, code_version="abc123", finished_at=STARTED + timedelta(seconds=90)
    )


def rendered(what: RenderableType, width: int = 100) -> str:
    file = StringIO()
    Console(file=file, width=width).print(what)
    return file.getvalue()


def test_collect_reads_the_evidence_of_a_promotion(weeks: FakeWeeks) -> None:
    """Scores, difference, interval and confusion matrix come from the evidence of the decision."""
    weeks.decide(0, FIRST)
    weeks.decide(1, BETTER)
    first, second = collect(weeks.storage, weeks.ledger, [FakeRun(0), FakeRun(1)])
    assert (first.action, first.champion, first.champion_f1, first.interval) == ("promote", 1, None, None)
    assert first.reason == "there is no champion yet"
    assert (second.action, second.champion, second.challenger_f1, second.champion_f1) == ("promote", 2, 0.86, 0.84)
    assert (second.prequential_f1, second.rows, second.seconds) == (0.8, 100, 12.3)
    assert second.confusion == [[465, 35], [40, 460]]
    assert second.difference == pytest.approx(0.075, abs=0.001)
    assert second.interval is not None
    assert second.difference is not None
    assert second.interval[0] < second.difference < second.interval[1]
    assert second.reason == "+0.0750 beyond chance"
    assert len(second.checks) > 1


def test_collect_gives_the_reason_why_a_challenger_was_not_promoted(weeks: FakeWeeks) -> None:
    """The champion stays, and the reason names the check that failed."""
    weeks.decide(0, FIRST)
    weeks.decide(1, WORSE)
    kept = collect(weeks.storage, weeks.ledger, [FakeRun(0), FakeRun(1)])[1]
    assert (kept.action, kept.version, kept.champion, kept.service_f1) == ("keep", 2, 1, 0.84)
    assert kept.reason.endswith("not beyond chance")
    assert kept.reasons[0].startswith("no improvement beyond chance: macro-F1 -")


def test_collect_counts_a_job_in_the_week_that_ran_it(weeks: FakeWeeks) -> None:
    """A result of an earlier week, or of another DAG run, is not counted again."""
    weeks.decide(0, FIRST)
    weeks.decide(1, BETTER)
    first, second = collect(weeks.storage, weeks.ledger, [FakeRun(0), FakeRun(1)])
    assert [job.job for job in first.jobs] == ["preprocess", "featurize", "train", "evaluate", "promote"]
    assert [job.job for job in second.jobs] == ["featurize", "score", "train", "evaluate", "promote"]


def test_collect_distinguishes_skipped_and_failed_weeks(weeks: FakeWeeks) -> None:
    """Neither changes the champion; a failed week names its task."""
    weeks.decide(0, FIRST)
    runs = [FakeRun(0), FakeRun(1, skipped=True), FakeRun(2, failed="retraining.train")]
    _, skipped, failed = collect(weeks.storage, weeks.ledger, runs)
    assert (skipped.action, skipped.champion, skipped.rows, skipped.jobs) == ("skip", 1, 0, [])
    assert (failed.action, failed.champion, failed.reason) == ("failed", 1, "retraining.train failed")


def test_a_report_sums_up_its_weeks(weeks: FakeWeeks) -> None:
    """Totals add up, and peaks are the largest of each kind of job, in the order of the flow."""
    weeks.decide(0, FIRST)
    weeks.decide(1, BETTER)
    report = a_report(collect(weeks.storage, weeks.ledger, [FakeRun(0), FakeRun(1)]))
    totals = {
        "weeks": 2,
        "promote": 2,
        "keep": 0,
        "rows_read": 90,
        "rows_quarantined": 10,
        "rows_test": 1000,
        "jobs": 10,
    }
    assert totals.items() <= report.totals.items()
    assert (report.totals["jobs_seconds"], report.totals["seconds"]) == (25.0, 90.0)
    assert list(report.peak_memory_mib) == ["preprocess", "featurize", "score", "train", "evaluate", "promote"]
    assert report.peak_memory_mib["train"] == 101.0
    assert report.headline == (
        "Version 2 is champion with a macro-F1 of 0.8600, up from 0.8500 in week 0; 2 of 2 challengers were promoted."
    )


def test_a_report_is_read_back_from_its_json(tmp_path: Path) -> None:
    """`report.json` contains every figure."""
    report = a_report([first_week(), a_week(), kept_week(), skipped_week()])
    write(report, tmp_path)
    assert Report.model_validate_json((tmp_path / "report.json").read_text()) == report


def test_a_report_masks_the_password_of_its_source(tmp_path: Path) -> None:
    """People send reports to each other, so a database URL in it must not have its password."""
    write(a_report([a_week()], "postgresql+psycopg://reader:hunter2@db/shop?table=reviews"), tmp_path)
    for file in ("report.json", "report.html"):
        assert "hunter2" not in (tmp_path / file).read_text()
        assert "reader:***@db/shop" in (tmp_path / file).read_text()


@pytest.mark.parametrize("width", [100, 120])
def test_the_table_shows_every_kind_of_week(width: int) -> None:
    """Promoted, kept, skipped and running weeks; a missing figure is a dash, not None."""
    text = rendered(
        weeks_table([first_week(), a_week(), kept_week(), skipped_week()], "week 4: retraining.train"), width
    )
    for word in ("↑ promote v2", "keep v1", "skip", "0.9000", "0.8800", "data 3 score 3 train 3", "0-4", "train"):
        assert word in text
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_long_reason_takes_two_lines() -> None:
    """An ellipsis marks a reason that was cut."""
    long = rendered(weeks_table([a_week(reason="loses on every slice there is " * 20)], None))
    assert len(long.splitlines()) == len(rendered(weeks_table([a_week()], None)).splitlines())
    assert "…" in long


def test_the_spinner_turns_in_each_new_table() -> None:
    """Its frame depends on the clock and not on the table's first rendering."""
    cell = weeks_table([], "week 0: training.train").columns[3]._cells[0]
    assert isinstance(cell, Spinner)
    assert str(cell.render(0.0)) != str(cell.render(0.1))


def test_without_a_terminal_a_week_is_one_line() -> None:
    """A log file gets plain text with every figure."""
    text = week_line(kept_week())
    assert "\n" not in text
    for word in ("week 2", "0-2", "3,000 rows", "0.9000", "0.8900", "0.8800", "keep v1", "not better", "-0.0050"):
        assert word in text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [first_week()],
        [first_week(), kept_week(1)],
        [a_week(0, action="failed", jobs=[], challenger_f1=None, checks=[], difference=None, interval=None)],
        [first_week(), *map(a_week, range(1, 8)), skipped_week(8), kept_week(9)],
    ],
    ids=["no week", "one week", "all kept", "failed at once", "ten weeks"],
)
def test_the_page_is_complete_and_loads_nothing(rows: list[WeekReport]) -> None:
    """For any number of weeks, the page is well-formed and refers to no other file."""
    text = render_page(a_report(rows))
    Balanced().feed(text)
    assert "None" not in text
    loaded = [part for part in ("<script", "<link", "<img", "@import", "src=", "url(http") if part in text]
    assert loaded == []


def test_the_page_escapes_every_text() -> None:
    """A reason, a candidate and a source are text, never markup."""
    evil = "<script>alert('x')</script>"
    week = a_week(
        reason=evil, reasons=[evil], candidate=evil, checks=[Check(name="artifact", passed=False, message=evil)]
    )
    text = render_page(a_report([week], source=f"./{evil}"))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4


def test_the_page_marks_synthetic_reviews() -> None:
    """A reader must not mistake synthetic reviews for real ones, or the other way round."""
    assert "Synthetic reviews" in render_page(a_report([a_week()]))
    assert "Synthetic reviews" not in render_page(a_report([a_week()], source="reviews.csv"))


def test_the_same_report_gives_the_same_page() -> None:
    """The page depends on neither clock nor chance, and every id in it is unique."""
    report = a_report([first_week(), a_week(), kept_week()])
    text = render_page(report)
    assert text == render_page(report)
    seen = Balanced()
    seen.feed(text)
    assert len(seen.ids) == len(set(seen.ids))


def test_the_final_champion_is_that_of_the_ledger(weeks: FakeWeeks) -> None:
    """The report's final week is the one that promoted the ledger's champion."""
    weeks.decide(0, FIRST)
    weeks.decide(1, WORSE)
    report = a_report(collect(weeks.storage, weeks.ledger, [FakeRun(0), FakeRun(1)]))
    assert weeks.ledger.champion() == Champion(epoch=1, version=1)
    assert report.final == report.weeks[0]


class Balanced(HTMLParser):
    """Fails on a closing tag that does not match; collects ids."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [text for name, text in attrs if name == "id" and text]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [text for name, text in attrs if name == "id" and text]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
