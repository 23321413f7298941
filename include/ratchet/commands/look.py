"""See what happened and why: `history`, `explain`, `replay`, `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratchet import commands
from ratchet.errors import LedgerError
from ratchet.ledger import Decision
from ratchet.settings import Settings

if TYPE_CHECKING:
    from ratchet.model.decide import Check, Verdict

console = Console()
panel = {"rich_help_panel": "See what happened"}
Store = Annotated[str | None, typer.Option(help="A folder or s3://bucket/prefix.")]


def add_to(app: typer.Typer, settings_for: Callable[[str | None], Settings]) -> None:
    @app.command(**panel)
    def history(store: Store = None) -> None:
        """Who was champion when, and every decision with its reasons."""
        table = Table("id", "when (UTC)", "window", "action", "version", "champion", "by", "reasons", title="Decisions")
        for row in commands.ledger(settings_for(store)).history():
            table.add_row(
                str(row.id),
                row.decided_at[:19].replace("T", " "),
                row.window,
                f"[{'green' if row.action == 'promote' else 'yellow'}]{row.action}",
                text(row.version),
                text(row.champion),
                row.decided_by,
                escape("; ".join(row.reasons)),
            )
        console.print(table)

    @app.command(**panel)
    def explain(version: Annotated[int, typer.Argument(help="A model version.")], store: Store = None) -> None:
        """Why a version was promoted or kept back, on what data, and by which DAG run."""
        settings = settings_for(store)
        rows = [row for row in commands.ledger(settings).history() if row.version == version]
        if not rows:
            raise LedgerError(f"No decision names version {version}. `ratchet history` lists all of them.")
        for row in rows:
            _explain(row)

    @app.command(**panel)
    def replay(decision: Annotated[int, typer.Argument(help="A decision's id.")], store: Store = None) -> None:
        """Compute a verdict again from its stored evidence and compare it with what was recorded."""
        recorded = commands.ledger(settings_for(store)).decision(decision)
        verdict, follows = replayed(recorded)
        for check in verdict.checks:
            console.print(f"{mark(check)} {escape(check.says)}")
        word = "promote" if verdict.promote else "keep"
        console.print(f"The evidence says {word}; the ledger says {recorded.action}.")
        if not follows:
            raise LedgerError(
                f"Decision {decision} does not follow from its evidence. Was the ledger or the gate changed?"
            )

    @app.command(**panel)
    def doctor(store: Store = None) -> None:
        """What is up, what is wrong, and what to do."""
        from ratchet.commands.doctor import examine

        settings = settings_for(store)
        table = Table("", "part", "finding", "what to do", title="Ratchet's doctor")
        findings = list(examine(settings))
        for finding in findings:
            table.add_row("[green]ok" if finding.well else "[red]ill", finding.part, finding.says, finding.remedy)
        console.print(table)
        if not all(finding.well for finding in findings):
            raise typer.Exit(1)


def _explain(row: Decision) -> None:
    found = row.evidence.get("evidence", {})
    facts = {
        "decision": f"{row.id}, {row.action}, {row.decided_at[:19]} UTC, by {row.decided_by}",
        "window": row.window or "-",
        "candidate": row.candidate or "-",
        "champion": f"before: {text(row.previous)}, after: {text(row.champion)}",
        "DAG run": row.dag_run or "by hand",
        "code version": row.code_version or "-",
        "test macro-F1": f"{found['metrics']['macro_f1']:.4f}" if found.get("metrics") else "-",
        "test set": found.get("test_digest", "-")[:16],
        "model": found.get("model_digest", "-")[:16],
    }
    table = Table("", "", title=f"Version {text(row.version)}", show_header=False)
    for name, fact in facts.items():
        table.add_row(name, fact)
    for number, reason in enumerate(row.reasons):
        table.add_row("because" if number == 0 else "", escape(reason))
    for number, check in enumerate(replayed(row)[0].checks if row.evidence else []):
        table.add_row("checks" if number == 0 else "", f"{mark(check)} {escape(check.says)}")
    console.print(table)


def text(version: int | None) -> str:
    return "-" if version is None else str(version)


def mark(check: Check) -> str:
    return "[green]pass[/]" if check.passed else "[red]FAIL[/]"


def replayed(row: Decision) -> tuple[Verdict, bool]:
    """The verdict computed again; imported late, because most commands need no SciPy."""
    from ratchet.model.promote import replay

    return replay(row)
